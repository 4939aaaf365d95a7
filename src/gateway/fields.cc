#include "gateway/fields.h"

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

namespace llmd::gateway {

using boost::json::array;

std::vector<const kube::Object*> objects_in(const kube::Object& parent, std::string_view path) {
  std::vector<const kube::Object*> found;
  if (const array* items = kube::find_array(parent, path)) {
    for (const auto& item : *items) {
      if (item.is_object()) {
        found.push_back(&item.get_object());
      }
    }
  }
  return found;
}

std::vector<std::string> strings_in(const kube::Object& parent, std::string_view path) {
  std::vector<std::string> found;
  if (const array* items = kube::find_array(parent, path)) {
    for (const auto& item : *items) {
      if (item.is_string()) {
        found.emplace_back(std::string_view(item.get_string()));
      }
    }
  }
  return found;
}

std::vector<NameValue> pairs_in(const kube::Object& parent, std::string_view path) {
  std::vector<NameValue> found;
  for (const kube::Object* item : objects_in(parent, path)) {
    found.push_back(
        {std::string(kube::find_string(*item, "name")), std::string(kube::find_string(*item, "value"))});
  }
  return found;
}

std::string_view string_or(const kube::Object& object, std::string_view path, std::string_view fallback) {
  const std::string_view found = kube::find_string(object, path);
  return found.empty() ? fallback : found;
}

}  // namespace llmd::gateway
