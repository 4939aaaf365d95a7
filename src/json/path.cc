#include "json/path.h"

#include <cmath>

#include "base/strings.h"

namespace llmd::json {
namespace {

// One step of a path: a key after a dot, or what stands in brackets (an index in arrays, a key in objects).
struct Step {
  std::string_view name;
  bool bracketed = false;
};

// Takes the first step off `path`; nullopt for a malformed or finished path.
std::optional<Step> next_step(std::string_view& path) {
  if (path.empty()) {
    return std::nullopt;
  }
  if (path.front() == '[') {
    const std::size_t end = path.find(']');
    if (end == std::string_view::npos) {
      return std::nullopt;
    }
    const Step step{path.substr(1, end - 1), true};
    path.remove_prefix(end + 1);
    return step;
  }
  if (path.front() == '.') {
    path.remove_prefix(1);
  }
  const Step step{path.substr(0, path.find_first_of(".[")), false};
  path.remove_prefix(step.name.size());
  return step;
}

std::optional<std::size_t> index_of(const Step& step) {
  if (!step.bracketed) {
    return std::nullopt;
  }
  const auto number = parse_integer(step.name);
  if (!number || *number < 0) {
    return std::nullopt;
  }
  return static_cast<std::size_t>(*number);
}

Value* child(Value& value, const Step& step) {
  if (Object* object = value.if_object()) {
    return object->if_contains({step.name.data(), step.name.size()});
  }
  if (Array* array = value.if_array()) {
    const auto index = index_of(step);
    return index && *index < array->size() ? &(*array)[*index] : nullptr;
  }
  return nullptr;
}

}  // namespace

std::string path_member(std::string_view path, std::string_view key) {
  if (key.empty() || key.find_first_of(".[]") != std::string_view::npos) {
    return fmt::format("{}[{}]", path, key);
  }
  return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
}

std::string path_index(std::string_view path, std::size_t index) {
  return fmt::format("{}[{}]", path, index);
}

std::string_view path_parent(std::string_view path) {
  if (path.empty()) {
    return path;
  }
  const std::size_t cut = path.back() == ']' ? path.rfind('[') : path.rfind('.');
  return cut == std::string_view::npos ? std::string_view() : path.substr(0, cut);
}

Value* find(Value& root, std::string_view path) {
  Value* value = &root;
  while (value && !path.empty()) {
    const auto step = next_step(path);
    value = step ? child(*value, *step) : nullptr;
  }
  return value;
}

const Value* find(const Value& root, std::string_view path) {
  return find(const_cast<Value&>(root), path);  // the other overload does not change it
}

std::optional<std::int64_t> as_integer(const Value& value) {
  if (const auto* number = value.if_int64()) {
    return *number;
  }
  if (const auto* number = value.if_uint64()) {
    return *number <= static_cast<std::uint64_t>(INT64_MAX)
               ? std::optional(static_cast<std::int64_t>(*number))
               : std::nullopt;
  }
  if (const auto* number = value.if_double()) {
    // 2^63 itself does not fit; every double below it does.
    const bool fits = std::trunc(*number) == *number && std::abs(*number) < 9223372036854775808.0;
    return fits ? std::optional(static_cast<std::int64_t>(*number)) : std::nullopt;
  }
  return std::nullopt;
}

std::optional<std::string_view> string_at(const Value& root, std::string_view path) {
  const Value* value = find(root, path);
  const String* text = value ? value->if_string() : nullptr;
  return text ? std::optional(std::string_view(text->data(), text->size())) : std::nullopt;
}

std::optional<std::int64_t> int_at(const Value& root, std::string_view path) {
  const Value* value = find(root, path);
  return value ? as_integer(*value) : std::nullopt;
}

std::optional<double> double_at(const Value& root, std::string_view path) {
  const Value* value = find(root, path);
  return value && value->is_number() ? std::optional(value->to_number<double>()) : std::nullopt;
}

std::optional<bool> bool_at(const Value& root, std::string_view path) {
  const Value* value = find(root, path);
  const bool* flag = value ? value->if_bool() : nullptr;
  return flag ? std::optional(*flag) : std::nullopt;
}

const Object* object_at(const Value& root, std::string_view path) {
  const Value* value = find(root, path);
  return value ? value->if_object() : nullptr;
}

const Array* array_at(const Value& root, std::string_view path) {
  const Value* value = find(root, path);
  return value ? value->if_array() : nullptr;
}

Result<void> set_at(Value& root, std::string_view path, Value value) {
  Value* at = &root;
  std::string_view rest = path;
  while (!rest.empty()) {
    const auto step = next_step(rest);
    if (!step) {
      return invalid_argument("{}: malformed path", path);
    }
    if (Array* array = at->if_array()) {
      const auto index = index_of(*step);
      if (!index || *index > array->size()) {
        return invalid_argument("{}: '{}' is no index of a list of {}", path, step->name, array->size());
      }
      if (*index == array->size()) {
        array->emplace_back(nullptr);
      }
      at = &(*array)[*index];
      continue;
    }
    if (!at->is_object()) {
      *at = Object();
    }
    at = &at->get_object()[{step->name.data(), step->name.size()}];
  }
  *at = std::move(value);
  return {};
}

}  // namespace llmd::json
