// Small pieces of JSON, appended to a string: answers are written by hand because every streamed token needs
// one.
#pragma once

#include <fmt/format.h>

#include <iterator>
#include <string>
#include <string_view>

#include "json/value.h"

namespace llmd::engine {

// ,"key":  without the comma after an opening brace.
inline void add_key(std::string& out, std::string_view key) {
  if (!out.empty() && out.back() != '{') {
    out += ',';
  }
  out += '"';
  out += key;
  out += "\":";
}

inline void add_text(std::string& out, std::string_view key, std::string_view value) {
  add_key(out, key);
  json::write_quoted_to(out, value);
}

inline void add_raw(std::string& out, std::string_view key, std::string_view value) {
  add_key(out, key);
  out += value;
}

template <typename Integer>
void add_number(std::string& out, std::string_view key, Integer value) {
  add_key(out, key);
  fmt::format_to(std::back_inserter(out), "{}", value);
}

// As Python writes it: 0.0, never 0.
inline void append_float(std::string& out, float value) {
  const std::size_t begin = out.size();
  fmt::format_to(std::back_inserter(out), "{}", value);
  if (out.find_first_of(".en", begin) == std::string::npos) {
    out += ".0";
  }
}

template <typename Range>
void append_integers(std::string& out, const Range& values) {
  out += fmt::format("[{}]", fmt::join(values, ","));
}

}  // namespace llmd::engine
