#include "llmisvc/explain.h"

#include <algorithm>
#include <map>

#include "base/strings.h"
#include "json/path.h"
#include "llmisvc/labels.h"
#include "llmisvc/merge.h"
#include "llmisvc/object_edit.h"

namespace llmd::llmisvc {
namespace {

// The merge itself says who won: every leaf of a layer is replaced by a mark that names the layer, and the
// marked layers are merged like the real ones. Keys of lists and merge directives stay, since merging looks
// at them.
constexpr char kMark = '\x02';

json::Value marked(const json::Value& value, std::string_view field, std::size_t layer);

json::Value mark_of(std::size_t layer) {
  return text_value(fmt::format("{}{}", kMark, layer));
}

json::Value marked_object(const json::Object& object, std::string_view key, std::size_t layer) {
  json::Object result;
  for (const auto& entry : object) {
    const std::string_view name = key_view(entry);
    const bool stays = name == "$patch" || (!key.empty() && name == key) || entry.value().is_null();
    result[entry.key()] = stays ? entry.value() : marked(entry.value(), name, layer);
  }
  return json::Value(std::move(result));
}

json::Value marked(const json::Value& value, std::string_view field, std::size_t layer) {
  if (const auto* object = value.if_object(); object != nullptr && !object->empty()) {
    return marked_object(*object, {}, layer);
  }
  const auto* list = value.if_array();
  if (list == nullptr || list->empty()) {
    // An empty object merges with what is there and is a leaf only where nothing is.
    return value.is_object() ? value : mark_of(layer);
  }
  const std::string_view key = merge_key(field);
  json::Array result;
  for (const json::Value& item : *list) {
    const auto* object = item.if_object();
    result.push_back(object != nullptr ? marked_object(*object, key, layer) : mark_of(layer));
  }
  return json::Value(std::move(result));
}

// The layer whose mark is first found at or below the value.
std::optional<std::size_t> layer_of(const json::Value& value) {
  const std::string_view text = text_view(value);
  if (text.starts_with(kMark)) {
    const auto number = parse_integer(text.substr(1));
    return number ? std::optional(static_cast<std::size_t>(*number)) : std::nullopt;
  }
  if (const auto* object = value.if_object()) {
    for (const auto& entry : *object) {
      if (const auto layer = layer_of(entry.value())) {
        return layer;
      }
    }
  }
  if (const auto* list = value.if_array()) {
    for (const json::Value& item : *list) {
      if (const auto layer = layer_of(item)) {
        return layer;
      }
    }
  }
  return std::nullopt;
}

template <typename Visit>
void for_each_leaf(const json::Value& value, const std::string& path, const Visit& visit) {
  const auto* object = value.if_object();
  const auto* list = value.if_array();
  if (object != nullptr && !object->empty()) {
    for (const auto& entry : *object) {
      for_each_leaf(entry.value(), json::path_member(path, key_view(entry)), visit);
    }
  } else if (list != nullptr && !list->empty()) {
    for (std::size_t i = 0; i < list->size(); ++i) {
      for_each_leaf((*list)[i], json::path_index(path, i), visit);
    }
  } else {
    visit(path, value);
  }
}

// An element of a keyed list by its key: "spec.template.containers[name=main].image". Independent of the
// order that a layer lists its elements in.
void keyed_leaves(const json::Value& value, const std::string& path, std::string_view field,
                  std::map<std::string, bool>& leaves) {
  const auto* object = value.if_object();
  const auto* list = value.if_array();
  if (object != nullptr && !object->empty()) {
    for (const auto& entry : *object) {
      keyed_leaves(entry.value(), json::path_member(path, key_view(entry)), key_view(entry), leaves);
    }
    return;
  }
  if (list == nullptr || list->empty()) {
    leaves[path] = true;
    return;
  }
  const std::string_view key = merge_key(field);
  for (std::size_t i = 0; i < list->size(); ++i) {
    const auto* element = (*list)[i].if_object();
    const auto* id = element != nullptr && !key.empty() ? element->if_contains(key_text(key)) : nullptr;
    keyed_leaves(
        (*list)[i],
        id != nullptr ? fmt::format("{}[{}={}]", path, key, json::write(*id)) : json::path_index(path, i), {},
        leaves);
  }
}

std::string keyed_path(const json::Value& root, const std::string& path) {
  std::string result;
  std::string walked;
  std::size_t begin = 0;
  std::string field;
  while (begin < path.size()) {
    std::size_t end = path[begin] == '[' ? path.find(']', begin) + 1 : path.find_first_of(".[", begin + 1);
    end = std::min(end, path.size());
    const std::string step = path.substr(begin, end - begin);
    walked += step;
    const std::string_view key = step.front() == '[' ? merge_key(field) : std::string_view();
    const auto* id = key.empty() ? nullptr : json::find(root, walked + "." + std::string(key));
    result += id != nullptr ? fmt::format("[{}={}]", key, json::write(*id)) : step;
    field = step.front() == '.' ? step.substr(1) : step;
    begin = end;
  }
  return result;
}

std::string title(const Layer& layer) {
  switch (layer.kind) {
    case Layer::Kind::Preset:
      return "preset " + layer.name;
    case Layer::Kind::BaseRef:
      return "baseRef " + layer.name;
    case Layer::Kind::Service:
      break;
  }
  return "service";
}

}  // namespace

std::vector<FieldOrigin> explain(const Composition& composition) {
  json::Object merged;
  std::vector<std::map<std::string, bool>> written(composition.layers.size());
  for (std::size_t i = 0; i < composition.layers.size(); ++i) {
    const json::Value spec(composition.layers[i].spec);
    const json::Value marks = marked(spec, {}, i);
    merged = merge(merged, marks.is_object() ? marks.get_object() : json::Object());
    keyed_leaves(spec, "spec", {}, written[i]);
  }
  const json::Value marks(json::Object{{"spec", merged}});
  const auto* spec = composition.object.if_contains("spec");
  const json::Value root(json::Object{{"spec", spec != nullptr ? *spec : json::Value()}});
  std::vector<FieldOrigin> origins;
  for_each_leaf(root.at("spec"), "spec", [&](const std::string& path, const json::Value& value) {
    FieldOrigin origin{.path = path, .value = value, .layer = "default"};
    const auto* mark = json::find(marks, path);
    const auto layer = mark != nullptr ? layer_of(*mark) : std::nullopt;
    const std::string keyed = keyed_path(root, path);
    // Keys of lists carry no mark: whoever wrote the element first wrote them.
    std::optional<std::size_t> owner = layer;
    for (std::size_t i = 0; i < written.size(); ++i) {
      if (!written[i].contains(keyed)) {
        continue;
      }
      if (!owner) {
        owner = i;
      } else if (i < *owner) {
        origin.overridden.push_back(title(composition.layers[i]));
      }
    }
    if (owner) {
      origin.layer = title(composition.layers[*owner]);
      origin.source = composition.layers[*owner].source;
    }
    origins.push_back(std::move(origin));
  });
  return origins;
}

}  // namespace llmd::llmisvc
