// Composes libyaml's events into values. Anchors are kept as finished values; an alias copies, so every
// expansion is paid from the node budget and a "billion laughs" document ends with an error instead of the
// memory.
#include "json/yaml.h"

#include <yaml.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "json/path.h"
#include "json/yaml_scalar.h"

namespace llmd::json {
namespace {

struct EventDeleter {
  void operator()(yaml_event_t* event) const {
    yaml_event_delete(event);
    delete event;
  }
};
using Event = std::unique_ptr<yaml_event_t, EventDeleter>;

std::string_view text_of(const yaml_char_t* text) {
  return text ? std::string_view(reinterpret_cast<const char*>(text)) : std::string_view();
}

Position position_of(const yaml_mark_t& mark) {
  return {mark.line + 1, mark.column + 1};
}

struct Anchor {
  Value value;
  std::size_t nodes = 0;
  bool finished = false;  // an alias inside its own anchor would never end
};

struct Key {
  std::string name;
  bool is_merge = false;
};

class Composer {
 public:
  Composer(std::string_view text, std::string_view source_name, const YamlLimits& limits)
      : source_name_(source_name), limits_(limits) {
    yaml_parser_initialize(&parser_);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  Composer(const Composer&) = delete;
  Composer& operator=(const Composer&) = delete;
  ~Composer() { yaml_parser_delete(&parser_); }

  Result<std::vector<YamlDocument>> documents() {
    std::vector<YamlDocument> documents;
    while (true) {
      LLMD_TRY(const Event event, next());
      if (event->type == YAML_STREAM_END_EVENT) {
        return documents;
      }
      if (event->type != YAML_DOCUMENT_START_EVENT) {
        continue;  // stream start, document end
      }
      anchors_.clear();
      positions_.clear();
      LLMD_TRY(const Event root, next());
      LLMD_TRY(Value value, compose(*root, "", 0));
      if (!value.is_null()) {
        documents.push_back({std::move(value), std::string(source_name_), std::move(positions_)});
      }
    }
  }

 private:
  Error at(const yaml_mark_t& mark, Error error) const {
    const Position position = json::position_of(mark);
    return std::move(error).within(fmt::format("{}:{}:{}", source_name_, position.line, position.column));
  }

  Result<Event> next() {
    Event event(new yaml_event_t{});
    if (yaml_parser_parse(&parser_, event.get())) {
      return event;
    }
    if (parser_.error == YAML_READER_ERROR) {
      return at(parser_.mark, invalid_argument("byte {}: {}", parser_.problem_offset, parser_.problem));
    }
    const std::string_view problem = parser_.problem ? parser_.problem : "cannot be parsed";
    Error error = invalid_argument("{}", problem);
    if (problem.find("cannot start any token") != std::string_view::npos) {
      error.advice = "YAML is indented with spaces, never with tabs";
    }
    return std::unexpected(at(parser_.problem_mark, std::move(error)));
  }

  Result<void> count_nodes(std::size_t nodes, const yaml_mark_t& mark) {
    nodes_ += nodes;
    if (nodes_ > limits_.max_nodes) {
      return std::unexpected(at(mark, resource_exhausted("more than {} values", limits_.max_nodes)));
    }
    return {};
  }

  void open_anchor(std::string_view name) {
    if (!name.empty()) {
      anchors_.insert_or_assign(std::string(name), Anchor{});
    }
  }
  void close_anchor(std::string_view name, const Value& value, std::size_t nodes) {
    if (!name.empty()) {
      anchors_.insert_or_assign(std::string(name), Anchor{value, nodes, true});
    }
  }

  Result<Value> compose(const yaml_event_t& event, const std::string& path, std::size_t depth) {
    if (depth > limits_.max_depth) {
      return at(event.start_mark, invalid_argument("nested deeper than {} levels", limits_.max_depth));
    }
    positions_.try_emplace(path, json::position_of(event.start_mark));
    LLMD_TRY_VOID(count_nodes(1, event.start_mark));
    switch (event.type) {
      case YAML_ALIAS_EVENT:
        return expand_alias(event);
      case YAML_SCALAR_EVENT:
        return compose_scalar(event);
      case YAML_SEQUENCE_START_EVENT:
        return compose_sequence(event, path, depth);
      case YAML_MAPPING_START_EVENT:
        return compose_mapping(event, path, depth);
      default:
        return at(event.start_mark, invalid_argument("a value is missing"));
    }
  }

  Result<Value> expand_alias(const yaml_event_t& event) {
    const std::string_view name = text_of(event.data.alias.anchor);
    const auto anchor = anchors_.find(name);
    if (anchor == anchors_.end()) {
      return at(event.start_mark, invalid_argument("no anchor &{} before this alias", name));
    }
    if (!anchor->second.finished) {
      return at(event.start_mark, invalid_argument("alias *{} inside its own anchor", name));
    }
    LLMD_TRY_VOID(count_nodes(anchor->second.nodes, event.start_mark));
    return anchor->second.value;
  }

  Result<Value> scalar_value(const yaml_event_t& event) const {
    const auto& scalar = event.data.scalar;
    const std::string_view text(reinterpret_cast<const char*>(scalar.value), scalar.length);
    auto value = [&]() -> Result<Value> {
      if (scalar.tag) {
        return resolve_tagged_scalar(text, text_of(scalar.tag));
      }
      if (scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        return resolve_plain_scalar(text);
      }
      return Value(boost::json::string_view(text.data(), text.size()));
    }();
    if (!value) {
      return at(event.start_mark, std::move(value).error());
    }
    return value;
  }

  Result<Value> compose_scalar(const yaml_event_t& event) {
    LLMD_TRY(Value value, scalar_value(event));
    close_anchor(text_of(event.data.scalar.anchor), value, 1);
    return value;
  }

  Result<Value> compose_sequence(const yaml_event_t& start, const std::string& path, std::size_t depth) {
    const std::string_view anchor = text_of(start.data.sequence_start.anchor);
    open_anchor(anchor);
    const std::size_t nodes_before = nodes_;
    Array array;
    while (true) {
      LLMD_TRY(const Event event, next());
      if (event->type == YAML_SEQUENCE_END_EVENT) {
        break;
      }
      LLMD_TRY(Value item, compose(*event, path_index(path, array.size()), depth + 1));
      array.push_back(std::move(item));
    }
    Value value(std::move(array));
    close_anchor(anchor, value, nodes_ - nodes_before + 1);
    return value;
  }

  // Keys are strings in JSON: numbers and booleans become their text, as in sigs.k8s.io/yaml.
  Result<Key> compose_key(const yaml_event_t& event) {
    if (event.type == YAML_ALIAS_EVENT) {
      LLMD_TRY(const Value value, expand_alias(event));
      if (value.is_string()) {
        return Key{std::string(value.get_string())};
      }
      return at(event.start_mark, invalid_argument("a key must be a string, not {}", kind_name(value)));
    }
    if (event.type != YAML_SCALAR_EVENT) {
      return at(event.start_mark, invalid_argument("a key must be a string, not a list or a mapping"));
    }
    const auto& scalar = event.data.scalar;
    if (scalar.style == YAML_PLAIN_SCALAR_STYLE && text_of(scalar.value) == "<<") {
      return Key{"<<", true};
    }
    LLMD_TRY(const Value value, compose_scalar(event));
    if (value.is_null()) {
      return at(event.start_mark, invalid_argument("a key must be a string, not null"));
    }
    return Key{value.is_string() ? std::string(value.get_string()) : write(value)};
  }

  Result<Value> compose_mapping(const yaml_event_t& start, const std::string& path, std::size_t depth) {
    const std::string_view anchor = text_of(start.data.mapping_start.anchor);
    open_anchor(anchor);
    const std::size_t nodes_before = nodes_;
    Object object;
    std::vector<std::pair<Value, Position>> merges;
    while (true) {
      LLMD_TRY(const Event key_event, next());
      if (key_event->type == YAML_MAPPING_END_EVENT) {
        break;
      }
      LLMD_TRY(const Key key, compose_key(*key_event));
      LLMD_TRY(const Event value_event, next());
      const Position position = json::position_of(key_event->start_mark);
      if (key.is_merge) {
        LLMD_TRY(Value merged, compose(*value_event, path_member(path, "<<"), depth + 1));
        LLMD_TRY_VOID(check_merge(merged, value_event->start_mark));
        merges.emplace_back(std::move(merged), position);
        continue;
      }
      const std::string member_path = path_member(path, key.name);
      if (object.contains(key.name)) {
        return at(key_event->start_mark, invalid_argument("duplicate key \"{}\", first given in line {}",
                                                          key.name, positions_[member_path].line));
      }
      positions_.try_emplace(member_path, position);
      LLMD_TRY(Value value, compose(*value_event, member_path, depth + 1));
      object.emplace(key.name, std::move(value));
    }
    for (const auto& [merged, position] : merges) {
      merge_into(object, merged, path, position);
    }
    Value value(std::move(object));
    close_anchor(anchor, value, nodes_ - nodes_before + 1);
    return value;
  }

  Result<void> check_merge(const Value& merged, const yaml_mark_t& mark) const {
    bool fits = merged.is_object();
    if (const Array* list = merged.if_array()) {
      fits = std::ranges::all_of(*list, [](const Value& item) { return item.is_object(); });
    }
    if (!fits) {
      return std::unexpected(at(mark, invalid_argument("<< needs a mapping or a list of mappings")));
    }
    return {};
  }

  // Keys of the mapping itself win, then the earlier of several merged mappings.
  void merge_into(Object& object, const Value& merged, const std::string& path, const Position& position) {
    if (const Array* list = merged.if_array()) {
      for (const Value& item : *list) {
        merge_into(object, item, path, position);
      }
      return;
    }
    for (const auto& member : merged.get_object()) {
      if (object.emplace(member.key(), member.value()).second) {
        positions_.try_emplace(path_member(path, {member.key().data(), member.key().size()}), position);
      }
    }
  }

  std::string_view source_name_;
  const YamlLimits& limits_;
  yaml_parser_t parser_{};
  std::size_t nodes_ = 0;
  std::map<std::string, Anchor, std::less<>> anchors_;
  std::map<std::string, Position, std::less<>> positions_;
};

}  // namespace

Position YamlDocument::position_of(std::string_view path) const {
  while (true) {
    const auto found = positions.find(path);
    if (found != positions.end()) {
      return found->second;
    }
    if (path.empty()) {
      return {};
    }
    path = path_parent(path);
  }
}

std::string YamlDocument::place_of(std::string_view path) const {
  const Position position = position_of(path);
  return fmt::format("{}:{}:{}", source_name, position.line, position.column);
}

Result<std::vector<YamlDocument>> parse_yaml(std::string_view text, std::string_view source_name,
                                             const YamlLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return resource_exhausted("{}: has {} bytes, at most {} are allowed", source_name, text.size(),
                              limits.max_bytes);
  }
  return Composer(text, source_name, limits).documents();
}

}  // namespace llmd::json
