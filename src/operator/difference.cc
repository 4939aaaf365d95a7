#include "operator/difference.h"

#include <boost/json.hpp>

#include <algorithm>
#include <cstdint>

#include "json/value.h"

namespace llmd::operators {
namespace {

// FNV-1a: only ever compared with our own earlier result.
std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  }
  return hash;
}

bool contains(const boost::json::value& live, const boost::json::value& desired);

bool is_empty(const boost::json::value& value) {
  return (value.is_object() && value.get_object().empty()) ||
         (value.is_array() && value.get_array().empty()) || (value.is_string() && value.get_string().empty());
}

bool contains_members(const kube::Object& live, const kube::Object& desired) {
  return std::ranges::all_of(desired, [&](const auto& member) {
    const auto* found = live.if_contains(member.key());
    if (found == nullptr) {
      return is_empty(member.value());  // servers drop what is empty
    }
    return contains(*found, member.value());
  });
}

// Other managers may add elements, and servers fill in fields: every element of ours must be in one of
// theirs.
bool contains(const boost::json::value& live, const boost::json::value& desired) {
  if (desired.is_object()) {
    return live.is_object() && contains_members(live.get_object(), desired.get_object());
  }
  if (desired.is_array()) {
    return live.is_array() && std::ranges::all_of(desired.get_array(), [&](const auto& element) {
             return std::ranges::any_of(live.get_array(),
                                        [&](const auto& other) { return contains(other, element); });
           });
  }
  if (desired.is_number() && live.is_number()) {
    return desired.to_number<double>() == live.to_number<double>();
  }
  return live == desired;
}

}  // namespace

kube::Object with_hash(kube::Object object) {
  const std::string hash = fmt::format("{:016x}", hash_of(json::write(boost::json::value(object))));
  auto& annotations = kube::at(object, "metadata.annotations");
  if (!annotations.is_object()) {
    annotations = kube::Object();
  }
  annotations.get_object()[boost::json::string_view(kRenderedHash.data(), kRenderedHash.size())] = hash;
  return object;
}

bool is_applied(const kube::Object& desired, const kube::Object& live) {
  return contains_members(live, desired);
}

}  // namespace llmd::operators
