// json.dumps as transformers' tojson calls it.
#include <algorithm>
#include <cmath>
#include <list>

#include "text/jinja_runtime.h"
#include "text/jinja_unicode.h"

namespace llmd::text::jinja {
namespace {

void append_escape(std::string& out, char32_t unit) {
  out += fmt::format("\\u{:04x}", static_cast<std::uint32_t>(unit));
}

// One character outside ASCII as \uXXXX, in two halves above U+FFFF.
void append_ascii(std::string& out, std::string_view character) {
  char32_t c = 0;
  const auto lead = static_cast<unsigned char>(character[0]);
  c = character.size() == 2 ? lead & 0x1FU : (character.size() == 3 ? lead & 0x0FU : lead & 0x07U);
  for (std::size_t i = 1; i < character.size(); ++i)
    c = (c << 6) | (static_cast<unsigned char>(character[i]) & 0x3FU);
  if (character.size() == 1)
    c = 0xFFFD;
  if (c > 0xFFFF) {
    append_escape(out, 0xD800 + ((c - 0x10000) >> 10));
    c = 0xDC00 + ((c - 0x10000) & 0x3FF);
  }
  append_escape(out, c);
}

void append_string(std::string& out, std::string_view text, bool ensure_ascii) {
  static constexpr std::string_view kSpecial = "\"\\\n\r\t\f\b";
  static constexpr std::string_view kLetters = "\"\\nrtfb";
  out += '"';
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    const auto size = character_size(text, i);
    if (const auto special = kSpecial.find(c); special != std::string_view::npos) {
      out += '\\';
      out += kLetters[special];
    } else if (static_cast<unsigned char>(c) < 0x20) {
      append_escape(out, static_cast<unsigned char>(c));
    } else if (ensure_ascii && static_cast<unsigned char>(c) >= 0x80) {
      append_ascii(out, text.substr(i, size));
    } else {
      out += text.substr(i, size);
    }
    i += size;
  }
  out += '"';
}

class Writer {
 public:
  explicit Writer(const JsonStyle& style) : style_(style) {}

  void write(const Value& value) {
    switch (value.kind()) {
      case Kind::None:
        out += "null";
        return;
      case Kind::Bool:
        out += value.integer() != 0 ? "true" : "false";
        return;
      case Kind::Int:
        out += std::to_string(value.integer());
        return;
      case Kind::Float:
        number(value.number());
        return;
      case Kind::String:
        append_string(out, value.string(), style_.ensure_ascii);
        return;
      case Kind::List:
        if (!value.list().indexable())
          break;
        list(value.list());
        return;
      case Kind::Dict:
        dict(value.dict());
        return;
      default:
        break;
    }
    fail("Object of type {} is not JSON serializable", type_name(value));
  }

  std::string out;

 private:
  void number(double value) {
    if (std::isnan(value)) {
      out += "NaN";
    } else if (std::isinf(value)) {
      out += value < 0 ? "-Infinity" : "Infinity";
    } else {
      out += float_text(value);
    }
  }

  void new_line() {
    if (style_.indent == nullptr)
      return;
    out += '\n';
    for (int i = 0; i < level_; ++i)
      out += *style_.indent;
  }

  // Opens, separates and closes; `element` writes the i-th.
  template <typename Element>
  void sequence(char open, char close, std::size_t size, Element element) {
    out += open;
    if (size > 0) {
      ++level_;
      for (std::size_t i = 0; i < size; ++i) {
        if (i > 0)
          out += style_.item_separator;
        new_line();
        element(i);
      }
      --level_;
      new_line();
    }
    out += close;
  }

  void list(const List& list) {
    sequence('[', ']', list.items.size(), [&](std::size_t i) { write(list.items[i]); });
  }

  void dict(const Dict& dict) {
    std::list<const std::pair<Value, Value>*> entries;  // list::sort is stable and survives odd orders
    for (const auto& entry : dict.entries)
      entries.push_back(&entry);
    if (style_.sort_keys) {
      entries.sort([](const auto* a, const auto* b) { return compare(a->first, b->first) < 0; });
    }
    auto next = entries.begin();
    sequence('{', '}', entries.size(), [&](std::size_t) {
      const auto* entry = *next++;
      key(entry->first);
      out += style_.key_separator;
      write(entry->second);
    });
  }

  void key(const Value& key) {
    switch (key.kind()) {
      case Kind::String:
        append_string(out, key.string(), style_.ensure_ascii);
        return;
      case Kind::None:
      case Kind::Bool:
      case Kind::Int:
      case Kind::Float:
        out += '"';
        write(key);
        out += '"';
        return;
      default:
        fail("keys must be str, int, float, bool or None, not {}", type_name(key));
    }
  }

  const JsonStyle& style_;
  int level_ = 0;
};

}  // namespace

std::string to_json(const Value& value, const JsonStyle& style) {
  if (value.is_undefined())
    fail("{}", value.undefined_message());
  Writer writer(style);
  writer.write(value);
  return std::move(writer.out);
}

}  // namespace llmd::text::jinja
