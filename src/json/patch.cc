#include "json/patch.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>
#include <utility>

namespace llmd::json {
namespace {

bool is_prefix(const std::vector<std::string>& head, const std::vector<std::string>& path) {
  return head.size() < path.size() && std::equal(head.begin(), head.end(), path.begin());
}

std::size_t count_nodes(const Value& value) {
  std::size_t nodes = 1;
  if (const Object* object = value.if_object()) {
    for (const auto& member : *object) {
      nodes += count_nodes(member.value());
    }
  } else if (const Array* array = value.if_array()) {
    for (const Value& item : *array) {
      nodes += count_nodes(item);
    }
  }
  return nodes;
}

// RFC 6901: decimal without leading zeros.
std::optional<std::size_t> array_index(std::string_view token) {
  if (token.empty() || (token.size() > 1 && token.front() == '0')) {
    return std::nullopt;
  }
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), index);
  if (error != std::errc() || end != token.data() + token.size()) {
    return std::nullopt;
  }
  return index;
}

Value* step_into(Value& value, std::string_view token) {
  if (Object* object = value.if_object()) {
    return object->if_contains({token.data(), token.size()});
  }
  if (Array* array = value.if_array()) {
    const auto index = array_index(token);
    return index && *index < array->size() ? &(*array)[*index] : nullptr;
  }
  return nullptr;
}

Result<Value*> walk(Value& root, std::span<const std::string> tokens) {
  Value* value = &root;
  for (const std::string& token : tokens) {
    value = step_into(*value, token);
    if (!value) {
      return not_found("the document has no \"{}\" there", token);
    }
  }
  return value;
}

Result<void> add(Value& root, const std::vector<std::string>& path, Value value) {
  if (path.empty()) {
    root = std::move(value);
    return {};
  }
  LLMD_TRY(Value * parent, walk(root, std::span(path).first(path.size() - 1)));
  const std::string& token = path.back();
  if (Object* object = parent->if_object()) {
    object->insert_or_assign(token, std::move(value));
    return {};
  }
  Array* array = parent->if_array();
  if (!array) {
    return not_found("the parent is {}, not an object or a list", kind_name(*parent));
  }
  const auto index = token == "-" ? std::optional(array->size()) : array_index(token);
  if (!index || *index > array->size()) {
    return invalid_argument("\"{}\" is no index of a list of {}", token, array->size());
  }
  array->insert(array->begin() + static_cast<std::ptrdiff_t>(*index), std::move(value));
  return {};
}

Result<Value> remove(Value& root, const std::vector<std::string>& path) {
  if (path.empty()) {
    return std::exchange(root, Value(nullptr));
  }
  LLMD_TRY(Value * parent, walk(root, std::span(path).first(path.size() - 1)));
  LLMD_TRY(Value * target, walk(*parent, std::span(path).last(1)));
  Value removed = std::move(*target);
  if (Object* object = parent->if_object()) {
    Object kept;  // Boost's erase moves the last member into the gap; order matters to readers
    for (auto& member : *object) {
      if (&member.value() != target) {
        kept.emplace(member.key(), std::move(member.value()));
      }
    }
    *object = std::move(kept);
  } else {
    Array& array = parent->get_array();
    array.erase(array.begin() + static_cast<std::ptrdiff_t>(*array_index(path.back())));
  }
  return removed;
}

struct Operation {
  std::string name;
  std::vector<std::string> path;
  std::vector<std::string> from;
  Value value;
};

Result<std::vector<std::string>> pointer_member(const Object& object, std::string_view name) {
  const Value* pointer = object.if_contains({name.data(), name.size()});
  if (!pointer || !pointer->is_string()) {
    return invalid_argument("{}: must be a JSON pointer", name);
  }
  auto tokens = parse_pointer(std::string_view(pointer->get_string().data(), pointer->get_string().size()));
  if (!tokens) {
    return std::unexpected(std::move(tokens).error().within(name));
  }
  return tokens;
}

Result<Operation> read_operation(const Value& value) {
  const Object* object = value.if_object();
  if (!object) {
    return invalid_argument("expected an object, got {}", kind_name(value));
  }
  const Value* name = object->if_contains("op");
  if (!name || !name->is_string()) {
    return invalid_argument("op: must be a string");
  }
  Operation operation;
  operation.name = name->get_string();
  LLMD_TRY(operation.path, pointer_member(*object, "path"));
  const bool needs_value = operation.name == "add" || operation.name == "replace" || operation.name == "test";
  const bool needs_from = operation.name == "move" || operation.name == "copy";
  if (needs_from) {
    LLMD_TRY(operation.from, pointer_member(*object, "from"));
  } else if (needs_value) {
    const Value* given = object->if_contains("value");
    if (!given) {
      return invalid_argument("value: missing");
    }
    operation.value = *given;
  } else if (operation.name != "remove") {
    return invalid_argument("op: unknown operation \"{}\"", operation.name)
        .hint("one of add, remove, replace, move, copy, test");
  }
  return operation;
}

// `copies_left` bounds what "copy" may multiply: thirty copies of the root into itself would be a billion
// values.
Result<void> apply(Value& root, Operation operation, std::size_t& copies_left) {
  if (operation.name == "add") {
    return add(root, operation.path, std::move(operation.value));
  }
  if (operation.name == "copy") {
    LLMD_TRY(const Value* source, walk(root, operation.from));
    const std::size_t nodes = count_nodes(*source);
    if (nodes > copies_left) {
      return resource_exhausted("the patch copies too many values");
    }
    copies_left -= nodes;
    return add(root, operation.path, Value(*source));
  }
  if (operation.name == "move") {
    if (is_prefix(operation.from, operation.path)) {
      return invalid_argument("from: a value cannot be moved into itself");
    }
    LLMD_TRY(Value moved, remove(root, operation.from));
    return add(root, operation.path, std::move(moved));
  }
  if (operation.name == "remove") {
    LLMD_TRY_VOID(remove(root, operation.path));
    return {};
  }
  LLMD_TRY(Value * target, walk(root, operation.path));
  if (operation.name == "replace") {
    *target = std::move(operation.value);
  } else if (*target != operation.value) {
    return failed_precondition("test failed: the value is {}", write(*target));
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> parse_pointer(std::string_view pointer) {
  std::vector<std::string> tokens;
  if (pointer.empty()) {
    return tokens;
  }
  if (pointer.front() != '/') {
    return invalid_argument("\"{}\" is no JSON pointer: it must begin with /", pointer);
  }
  for (std::size_t i = 0; i < pointer.size(); ++i) {
    const char c = pointer[i];
    if (c == '/') {
      tokens.emplace_back();
    } else if (c != '~') {
      tokens.back() += c;
    } else if (i + 1 < pointer.size() && (pointer[i + 1] == '0' || pointer[i + 1] == '1')) {
      tokens.back() += pointer[++i] == '0' ? '~' : '/';
    } else {
      return invalid_argument("\"{}\" is no JSON pointer: ~ must be followed by 0 or 1", pointer);
    }
  }
  return tokens;
}

std::string escape_pointer_token(std::string_view token) {
  std::string escaped;
  for (const char c : token) {
    c == '~' ? escaped += "~0" : c == '/' ? escaped += "~1" : escaped += c;
  }
  return escaped;
}

Result<const Value*> at_pointer(const Value& root, std::string_view pointer) {
  LLMD_TRY(const auto tokens, parse_pointer(pointer));
  LLMD_TRY(const Value* value, walk(const_cast<Value&>(root), tokens));  // walking changes nothing
  return value;
}

void apply_merge_patch(Value& target, const Value& patch) {
  const Object* changes = patch.if_object();
  if (!changes) {
    target = patch;
    return;
  }
  if (!target.is_object()) {
    target = Object();
  }
  Object& object = target.get_object();
  bool removes = false;
  for (const auto& change : *changes) {
    if (!change.value().is_null()) {
      apply_merge_patch(object[change.key()], change.value());
    } else {
      removes = removes || object.contains(change.key());
    }
  }
  if (removes) {  // rebuilt, because Boost's erase would change the order
    Object kept;
    for (auto& member : object) {
      const Value* change = changes->if_contains(member.key());
      if (!change || !change->is_null()) {
        kept.emplace(member.key(), std::move(member.value()));
      }
    }
    object = std::move(kept);
  }
}

Value make_merge_patch(const Value& before, const Value& after) {
  const Object* from = before.if_object();
  const Object* to = after.if_object();
  if (!from || !to) {
    return after;
  }
  Object patch;
  for (const auto& member : *from) {
    if (!to->contains(member.key())) {
      patch.emplace(member.key(), nullptr);
    }
  }
  for (const auto& member : *to) {
    const Value* old = from->if_contains(member.key());
    if (!old) {
      patch.emplace(member.key(), member.value());
    } else if (*old != member.value()) {
      patch.emplace(member.key(), make_merge_patch(*old, member.value()));
    }
  }
  return Value(std::move(patch));
}

Result<Value> apply_json_patch(const Value& target, const Value& patch, const PatchLimits& limits) {
  const Array* operations = patch.if_array();
  if (!operations) {
    return invalid_argument("a JSON patch is a list of operations, got {}", kind_name(patch));
  }
  if (operations->size() > limits.max_operations) {
    return resource_exhausted("a JSON patch has at most {} operations, got {}", limits.max_operations,
                              operations->size());
  }
  Value result = target;
  std::size_t copies_left = limits.max_copied_values;
  for (std::size_t i = 0; i < operations->size(); ++i) {
    auto operation = read_operation((*operations)[i]);
    auto done = operation ? apply(result, std::move(*operation), copies_left)
                          : std::unexpected(std::move(operation).error());
    if (!done) {
      return std::unexpected(std::move(done).error().within(fmt::format("[{}]", i)));
    }
  }
  return result;
}

}  // namespace llmd::json
