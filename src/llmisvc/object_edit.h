// Small words for reading and editing JSON objects by std::string_view keys.
#pragma once

#include <string_view>

#include "json/value.h"

namespace llmd::llmisvc {

inline boost::json::string_view key_text(std::string_view key) {
  return {key.data(), key.size()};
}
inline std::string_view key_view(const boost::json::key_value_pair& member) {
  return {member.key().data(), member.key().size()};
}
// Of a string; empty for every other kind.
inline std::string_view text_view(const json::Value& value) {
  return value.is_string() ? std::string_view(value.get_string().data(), value.get_string().size())
                           : std::string_view();
}
inline json::Value& member(json::Object& object, std::string_view key) {
  return object[key_text(key)];
}
// The member as an object, made when it is absent or something else.
inline json::Object& object_member(json::Object& object, std::string_view key) {
  json::Value& value = member(object, key);
  if (!value.is_object()) {
    value = json::Object();
  }
  return value.get_object();
}
inline const json::Object* find_object(const json::Object& object, std::string_view key) {
  const auto* value = object.if_contains(key_text(key));
  return value != nullptr ? value->if_object() : nullptr;
}
inline json::Object* find_object(json::Object& object, std::string_view key) {
  auto* value = object.if_contains(key_text(key));
  return value != nullptr ? value->if_object() : nullptr;
}

}  // namespace llmd::llmisvc
