// Boost.JSON's push parser with a handler of our own: it counts keys, so that an object with the same key
// twice is noticed (Boost keeps the last one silently), and limits depth.
#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/error.hpp>
#include <boost/json/value_stack.hpp>
#include <set>
#include <vector>

#include "json/value.h"

namespace llmd::json {
namespace {

using boost::system::error_code;
namespace bj = boost::json;

// Builds the value. With `track_keys` it remembers the keys of every open object and stops at the first
// duplicate; that pass runs only when the counts say that there is one.
struct Handler {
  static constexpr std::size_t max_object_size = std::size_t(-1) >> 1;
  static constexpr std::size_t max_array_size = std::size_t(-1) >> 1;
  static constexpr std::size_t max_key_size = std::size_t(-1) >> 1;
  static constexpr std::size_t max_string_size = std::size_t(-1) >> 1;

  bool track_keys = false;
  std::size_t keys = 0;
  std::string duplicate;
  std::string key;
  std::vector<std::set<std::string, std::less<>>> open_objects;
  bj::value_stack stack;

  bool on_document_begin(error_code&) {
    stack.reset();
    return true;
  }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) {
    if (track_keys) {
      open_objects.emplace_back();
    }
    return true;
  }
  bool on_object_end(std::size_t n, error_code&) {
    if (track_keys) {
      open_objects.pop_back();
    }
    stack.push_object(n);
    return true;
  }
  bool on_array_begin(error_code&) { return true; }
  bool on_array_end(std::size_t n, error_code&) {
    stack.push_array(n);
    return true;
  }
  bool on_key_part(bj::string_view s, std::size_t, error_code&) {
    stack.push_chars(s);
    if (track_keys) {
      key.append(s.data(), s.size());
    }
    return true;
  }
  bool on_key(bj::string_view s, std::size_t, error_code& ec) {
    ++keys;
    stack.push_key(s);
    if (!track_keys) {
      return true;
    }
    key.append(s.data(), s.size());
    if (!open_objects.back().insert(key).second) {
      duplicate = key;
      ec = bj::error::extra_data;
      return false;
    }
    key.clear();
    return true;
  }
  bool on_string_part(bj::string_view s, std::size_t, error_code&) {
    stack.push_chars(s);
    return true;
  }
  bool on_string(bj::string_view s, std::size_t, error_code&) {
    stack.push_string(s);
    return true;
  }
  bool on_number_part(bj::string_view, error_code&) { return true; }
  bool on_int64(std::int64_t i, bj::string_view, error_code&) {
    stack.push_int64(i);
    return true;
  }
  bool on_uint64(std::uint64_t u, bj::string_view, error_code&) {
    stack.push_uint64(u);
    return true;
  }
  bool on_double(double d, bj::string_view, error_code&) {
    stack.push_double(d);
    return true;
  }
  bool on_bool(bool b, error_code&) {
    stack.push_bool(b);
    return true;
  }
  bool on_null(error_code&) {
    stack.push_null();
    return true;
  }
  bool on_comment_part(bj::string_view, error_code&) { return true; }
  bool on_comment(bj::string_view, error_code&) { return true; }
};

std::string position(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t newline = before.rfind('\n');
  const std::size_t column = newline == std::string_view::npos ? before.size() + 1 : before.size() - newline;
  return fmt::format("{}:{}", line, column);
}

std::string explain(const error_code& ec, std::string_view text, std::size_t offset,
                    const ParseLimits& limits) {
  if (ec == bj::error::incomplete) {
    return text.find_first_not_of(" \t\r\n") == std::string_view::npos ? "the document is empty"
                                                                       : "the document ends too early";
  }
  if (ec == bj::error::too_deep) {
    return fmt::format("nested deeper than {} levels", limits.max_depth);
  }
  if (ec == bj::error::extra_data) {
    return "unexpected text after the document";
  }
  if (ec == bj::error::syntax && offset < text.size() && text[offset] >= ' ' && text[offset] < 0x7f) {
    return fmt::format("unexpected character '{}'", text[offset]);
  }
  return ec.message();
}

std::size_t count_keys(const Value& value) {
  std::size_t keys = 0;
  if (const Object* object = value.if_object()) {
    keys = object->size();
    for (const auto& member : *object) {
      keys += count_keys(member.value());
    }
  } else if (const Array* array = value.if_array()) {
    for (const Value& item : *array) {
      keys += count_keys(item);
    }
  }
  return keys;
}

}  // namespace

Result<Value> parse(std::string_view text, const ParseLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return resource_exhausted("the document has {} bytes, at most {} are allowed", text.size(),
                              limits.max_bytes);
  }
  const auto run = [&](bool track_keys) -> Result<Value> {
    bj::parse_options options;
    options.max_depth = limits.max_depth;
    bj::basic_parser<Handler> parser(options);
    parser.handler().track_keys = track_keys;
    error_code ec;
    const std::size_t used = parser.write_some(false, text.data(), text.size(), ec);
    if (!ec && used < text.size()) {
      ec = bj::error::extra_data;
    }
    if (!parser.handler().duplicate.empty() || (ec && track_keys)) {
      return invalid_argument("{}: duplicate key \"{}\"", position(text, used), parser.handler().duplicate);
    }
    if (ec) {
      return invalid_argument("{}: {}", position(text, used), explain(ec, text, used, limits));
    }
    Value value = parser.handler().stack.release();
    if (!track_keys && count_keys(value) != parser.handler().keys) {
      return already_exists("duplicate key");
    }
    return value;
  };
  try {
    auto result = run(false);
    if (!result && result.error().kind == ErrorKind::AlreadyExists) {
      return run(true);
    }
    return result;
  } catch (const std::exception& e) {
    return resource_exhausted("the document does not fit into memory: {}", e.what());
  }
}

Result<Object> parse_object(std::string_view text, const ParseLimits& limits) {
  LLMD_TRY(Value value, parse(text, limits));
  if (!value.is_object()) {
    return invalid_argument("1:1: expected an object, got {}", kind_name(value));
  }
  return std::move(value.get_object());
}

std::string_view kind_name(const Value& value) {
  switch (value.kind()) {
    case bj::kind::null:
      return "null";
    case bj::kind::bool_:
      return "a boolean";
    case bj::kind::int64:
    case bj::kind::uint64:
      return "an integer";
    case bj::kind::double_:
      return "a number";
    case bj::kind::string:
      return "a string";
    case bj::kind::array:
      return "a list";
    case bj::kind::object:
      return "an object";
  }
  return "nothing";
}

}  // namespace llmd::json
