// Pieces that the cells of several kinds share.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include <string>
#include <string_view>

#include "kube/object.h"

namespace llmd::apiserver {

inline boost::json::value cell(std::string_view text) {
  return boost::json::value(boost::json::string_view(text.data(), text.size()));
}
inline std::string or_none(std::string_view text) {
  return text.empty() ? "<none>" : std::string(text);
}

// The strings of a list below a path, joined by commas.
std::string joined(const kube::Object& object, std::string_view path);

}  // namespace llmd::apiserver
