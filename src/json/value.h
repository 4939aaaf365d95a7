// JSON values: Boost.JSON's types under our names, with a strict parser, a compact and a pretty writer.
//
// Values are plain data: copy them, compare them with ==, no thread owns them. Beware of braces: `Value{x}`
// makes an array with one element; write `Value(x)`.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/string.hpp>
#include <boost/json/value.hpp>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace llmd::json {

using Value = boost::json::value;
using Object = boost::json::object;
using Array = boost::json::array;
using String = boost::json::string;

struct ParseLimits {
  std::size_t max_depth = 64;                      // nested arrays and objects
  std::size_t max_bytes = std::size_t{256} << 20;  // length of the text
};

// RFC 8259 and nothing more: no comments, no trailing comma, valid UTF-8, no key twice in one object. Errors
// are InvalidArgument (ResourceExhausted for the byte limit) and begin with the position: "3:14: unexpected
// character".
Result<Value> parse(std::string_view text, const ParseLimits& limits = {});
Result<Object> parse_object(std::string_view text, const ParseLimits& limits = {});

// One line without spaces. Doubles are the shortest text that reads back as the same double and stay doubles
// (1.0); NaN and infinities, which JSON cannot say, become null. Members keep their order.
std::string write(const Value& value);
void write_to(std::string& out, const Value& value);            // appends; the buffer can be used again
std::string write_pretty(const Value& value);                   // two spaces per level, newline at the end
void write_quoted_to(std::string& out, std::string_view text);  // a JSON string with its quotes

// "null", "a boolean", "an integer", "a number", "a string", "a list", "an object": for messages.
std::string_view kind_name(const Value& value);

}  // namespace llmd::json
