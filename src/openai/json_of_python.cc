#include <fmt/format.h>

#include <cstdint>
#include <iterator>
#include <utility>

#include "openai/chat_of_messages.h"

namespace llmd::openai {
namespace {

// repr() of a float: the shortest text that reads back, always with a point or an exponent.
void write_float(std::string& out, double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".en") == std::string::npos) {
    text += ".0";
  }
  out += text;
}

void write_escaped(std::string& out, std::uint32_t unit) {
  fmt::format_to(std::back_inserter(out), "\\u{:04x}", unit);
}

// One character of valid UTF-8, which `text` begins with. Beyond 16 bits it is two halves.
std::size_t write_beyond_ascii(std::string& out, std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  std::uint32_t character = first & (0xffU >> (length + 1));
  for (const char c : text.substr(1, length - 1)) {
    character = character << 6 | (static_cast<unsigned char>(c) & 0x3fU);
  }
  if (character >= 0x10000) {
    write_escaped(out, 0xd800 + ((character - 0x10000) >> 10));
    write_escaped(out, 0xdc00 + ((character - 0x10000) & 0x3ff));
  } else {
    write_escaped(out, character);
  }
  return length;
}

void write_string(std::string& out, std::string_view text) {
  static constexpr std::string_view kSpecial = "\"\\\n\r\t\b\f";
  static constexpr std::string_view kNames = "\"\\nrtbf";
  out += '"';
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (static_cast<unsigned char>(c) >= 0x80) {
      at += write_beyond_ascii(out, text.substr(at));
      continue;
    }
    if (const auto special = kSpecial.find(c); special != std::string_view::npos) {
      (out += '\\') += kNames[special];
    } else if (static_cast<unsigned char>(c) < 0x20) {
      write_escaped(out, static_cast<unsigned char>(c));
    } else {
      out += c;
    }
    ++at;
  }
  out += '"';
}

void write_value(std::string& out, const json::Value& value);  // lists and objects contain values

void write_list(std::string& out, const json::Array& list) {
  out += '[';
  std::string_view between;
  for (const json::Value& each : list) {
    out += std::exchange(between, ", ");
    write_value(out, each);
  }
  out += ']';
}

void write_object(std::string& out, const json::Object& object) {
  out += '{';
  std::string_view between;
  for (const auto& [name, value] : object) {
    out += std::exchange(between, ", ");
    write_string(out, name);
    out += ": ";
    write_value(out, value);
  }
  out += '}';
}

void write_value(std::string& out, const json::Value& value) {
  if (const auto* list = value.if_array()) {
    write_list(out, *list);
  } else if (const auto* object = value.if_object()) {
    write_object(out, *object);
  } else if (const auto* text = value.if_string()) {
    write_string(out, *text);
  } else if (const auto* number = value.if_double()) {
    write_float(out, *number);
  } else {
    out += json::write(value);
  }
}

}  // namespace

std::string json_of_python(const json::Value& value) {
  std::string out;
  write_value(out, value);
  return out;
}

}  // namespace llmd::openai
