// Own serializer: Boost's writes doubles as 1.5E0 and has no pretty form.
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "json/value.h"

namespace llmd::json {
namespace {

void write_double(std::string& out, double number) {
  if (!std::isfinite(number)) {
    out += "null";
    return;
  }
  std::array<char, 40> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number).ptr;
  const std::string_view text(buffer.data(), static_cast<std::size_t>(end - buffer.data()));
  out += text;
  if (text.find_first_of(".e") == std::string_view::npos) {
    out += ".0";  // reads back as a double
  }
}

template <typename Integer>
void write_integer(std::string& out, Integer number) {
  std::array<char, 24> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number).ptr;
  out.append(buffer.data(), end);
}

struct Layout {
  bool pretty;
  int depth;
};

void new_line(std::string& out, Layout layout) {
  if (layout.pretty) {
    out += '\n';
    out.append(static_cast<std::size_t>(layout.depth) * 2, ' ');
  }
}

void write_value(std::string& out, const Value& value, Layout layout);

void write_array(std::string& out, const Array& array, Layout layout) {
  if (array.empty()) {
    out += "[]";
    return;
  }
  const Layout inner{layout.pretty, layout.depth + 1};
  char separator = '[';
  for (const Value& item : array) {
    out += separator;
    new_line(out, inner);
    write_value(out, item, inner);
    separator = ',';
  }
  new_line(out, layout);
  out += ']';
}

void write_object(std::string& out, const Object& object, Layout layout) {
  if (object.empty()) {
    out += "{}";
    return;
  }
  const Layout inner{layout.pretty, layout.depth + 1};
  char separator = '{';
  for (const auto& member : object) {
    out += separator;
    new_line(out, inner);
    write_quoted_to(out, {member.key().data(), member.key().size()});
    out += layout.pretty ? ": " : ":";
    write_value(out, member.value(), inner);
    separator = ',';
  }
  new_line(out, layout);
  out += '}';
}

void write_value(std::string& out, const Value& value, Layout layout) {
  switch (value.kind()) {
    case boost::json::kind::null:
      out += "null";
      return;
    case boost::json::kind::bool_:
      out += value.get_bool() ? "true" : "false";
      return;
    case boost::json::kind::int64:
      write_integer(out, value.get_int64());
      return;
    case boost::json::kind::uint64:
      write_integer(out, value.get_uint64());
      return;
    case boost::json::kind::double_:
      write_double(out, value.get_double());
      return;
    case boost::json::kind::string:
      write_quoted_to(out, {value.get_string().data(), value.get_string().size()});
      return;
    case boost::json::kind::array:
      write_array(out, value.get_array(), layout);
      return;
    case boost::json::kind::object:
      write_object(out, value.get_object(), layout);
      return;
  }
}

bool needs_escape(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\';
}

void write_escaped(std::string& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    default:
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
  }
}

}  // namespace

void write_quoted_to(std::string& out, std::string_view text) {
  out += '"';
  std::size_t start = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (needs_escape(text[i])) {
      out += text.substr(start, i - start);
      write_escaped(out, text[i]);
      start = i + 1;
    }
  }
  out += text.substr(start);
  out += '"';
}

void write_to(std::string& out, const Value& value) {
  write_value(out, value, {.pretty = false, .depth = 0});
}

std::string write(const Value& value) {
  std::string out;
  write_to(out, value);
  return out;
}

std::string write_pretty(const Value& value) {
  std::string out;
  write_value(out, value, {.pretty = true, .depth = 0});
  out += '\n';
  return out;
}

}  // namespace llmd::json
