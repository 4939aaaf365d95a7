#include "text/jinja_unicode.h"

#include <fmt/format.h>
#include <utf8proc.h>

namespace llmd::text::jinja {
namespace {

struct Character {
  utf8proc_int32_t code_point = -1;  // -1: an invalid byte
  std::size_t size = 1;
};

Character decode(std::string_view text, std::size_t offset) {
  const auto byte = static_cast<unsigned char>(text[offset]);
  if (byte < 0x80)
    return {byte, 1};
  utf8proc_int32_t code_point = -1;
  const auto size = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + offset),
                                     static_cast<utf8proc_ssize_t>(text.size() - offset), &code_point);
  if (size <= 0)
    return {-1, 1};
  return {code_point, static_cast<std::size_t>(size)};
}

bool is_cased(utf8proc_int32_t c) {
  const auto category = utf8proc_category(c);
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
         category == UTF8PROC_CATEGORY_LT;
}

// What Python's str.isspace says.
bool is_space_code_point(utf8proc_int32_t c) {
  return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

template <typename Map>
std::string mapped(std::string_view text, Map map) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const auto character = decode(text, i);
    if (character.code_point < 0) {
      result += text[i];
    } else {
      map(result, character.code_point);
    }
    i += character.size;
  }
  return result;
}

void append_upper(std::string& out, utf8proc_int32_t c) {
  if (c == 0xDF) {
    out += "SS";  // the one full mapping that turns up in practice
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_toupper(c)));
  }
}

bool in_class(utf8proc_int32_t c, char python_class) {
  const auto category = utf8proc_category(c);
  const bool letter = category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
  const bool digit = category == UTF8PROC_CATEGORY_ND;
  switch (python_class) {
    case 'a':
      return letter;
    case 'd':
      return digit;
    case 'n':
      return letter || digit || category == UTF8PROC_CATEGORY_NL || category == UTF8PROC_CATEGORY_NO;
    default:
      return is_space_code_point(c);
  }
}

}  // namespace

void append_utf8(std::string& text, char32_t code_point) {
  utf8proc_uint8_t bytes[4];
  const auto size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), bytes);
  text.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
}

std::size_t character_size(std::string_view text, std::size_t offset) {
  return decode(text, offset).size;
}

std::vector<std::size_t> character_offsets(std::string_view text) {
  std::vector<std::size_t> offsets;
  offsets.reserve(text.size() + 1);
  for (std::size_t i = 0; i < text.size(); i += character_size(text, i))
    offsets.push_back(i);
  offsets.push_back(text.size());
  return offsets;
}

std::int64_t character_count(std::string_view text) {
  std::int64_t count = 0;
  for (std::size_t i = 0; i < text.size(); i += character_size(text, i))
    ++count;
  return count;
}

bool is_space(std::string_view character) {
  return is_space_code_point(decode(character, 0).code_point);
}

std::string upper(std::string_view text) {
  return mapped(text, append_upper);
}

std::string lower(std::string_view text) {
  return mapped(text, [](std::string& out, utf8proc_int32_t c) {
    append_utf8(out, static_cast<char32_t>(utf8proc_tolower(c)));
  });
}

std::string capitalize(std::string_view text) {
  bool first = true;
  return mapped(text, [&first](std::string& out, utf8proc_int32_t c) {
    append_utf8(out, static_cast<char32_t>(first ? utf8proc_totitle(c) : utf8proc_tolower(c)));
    first = false;
  });
}

std::string title(std::string_view text) {
  bool inside = false;
  return mapped(text, [&inside](std::string& out, utf8proc_int32_t c) {
    append_utf8(out, static_cast<char32_t>(inside ? utf8proc_tolower(c) : utf8proc_totitle(c)));
    inside = is_cased(c);
  });
}

bool all_of_class(std::string_view text, char python_class) {
  if (python_class == 'u' || python_class == 'l') {
    return (python_class == 'u' ? upper(text) : lower(text)) == text && upper(text) != lower(text);
  }
  for (std::size_t i = 0; i < text.size();) {
    const auto character = decode(text, i);
    if (character.code_point < 0 || !in_class(character.code_point, python_class))
      return false;
    i += character.size;
  }
  return !text.empty();
}

std::string_view strip(std::string_view text, std::string_view characters, Side side) {
  const auto removable = [characters](std::string_view character) {
    if (characters.empty())
      return is_space(character);
    for (std::size_t i = 0; i < characters.size(); i += character_size(characters, i)) {
      if (characters.substr(i, character_size(characters, i)) == character)
        return true;
    }
    return false;
  };
  if (side != Side::Right) {
    while (!text.empty()) {
      const auto size = character_size(text, 0);
      if (!removable(text.substr(0, size)))
        break;
      text.remove_prefix(size);
    }
  }
  while (side != Side::Left && !text.empty()) {
    std::size_t start = text.size() - 1;
    while (start > 0 && text.size() - start < 4 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80)
      --start;
    if (start + character_size(text, start) != text.size())
      start = text.size() - 1;
    if (!removable(text.substr(start)))
      break;
    text = text.substr(0, start);
  }
  return text;
}

std::string quoted(std::string_view text) {
  const bool use_double =
      text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char quote = use_double ? '"' : '\'';
  std::string result(1, quote);
  for (std::size_t i = 0; i < text.size();) {
    const auto [c, size] = decode(text, i);
    const auto category = c < 0x80 ? 0 : utf8proc_category(c);
    if (c == quote || c == '\\') {
      result += '\\';
      result += static_cast<char>(c);
    } else if (c == '\n' || c == '\r' || c == '\t') {
      result += c == '\n' ? "\\n" : (c == '\r' ? "\\r" : "\\t");
    } else if (c >= 0 && (c < 0x20 || c == 0x7F)) {
      result += fmt::format("\\x{:02x}", c);
    } else if (category >= UTF8PROC_CATEGORY_ZS && c >= 0x80) {  // separators and other: not printable
      result += c <= 0xFF ? fmt::format("\\x{:02x}", c)
                          : (c <= 0xFFFF ? fmt::format("\\u{:04x}", c) : fmt::format("\\U{:08x}", c));
    } else {
      result += text.substr(i, size);
    }
    i += size;
  }
  return result + quote;
}

std::string html_escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&#34;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

}  // namespace llmd::text::jinja
