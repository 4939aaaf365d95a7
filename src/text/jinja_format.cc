// The three ways in which templates format text: "%s" % x, "{}".format(x) and strftime_now.
#include <algorithm>
#include <ctime>

#include "text/jinja_runtime.h"
#include "text/jinja_unicode.h"

namespace llmd::text::jinja {
namespace {

// [[fill]align][sign][0][width][,][.precision][type], the same letters in both languages.
struct Spec {
  std::string fill = " ";
  char align = 0;
  char sign = '-';
  bool zero = false;
  bool comma = false;
  std::int64_t width = 0;
  int precision = -1;
  char type = 0;
};

constexpr std::int64_t kMaxWidth = 10'000;

std::int64_t digits(std::string_view text, std::size_t& i) {
  std::int64_t value = 0;
  for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i) {
    value = value * 10 + (text[i] - '0');
    if (value > kMaxWidth)
      fail("a field of the format is too wide");
  }
  return value;
}

std::string with_commas(std::string number) {
  const auto first = number.find_first_of("0123456789");
  const auto end = number.find_first_not_of("0123456789", first);
  auto at = static_cast<std::ptrdiff_t>(end == std::string::npos ? number.size() : end) - 3;
  for (; first != std::string::npos && at > static_cast<std::ptrdiff_t>(first); at -= 3)
    number.insert(static_cast<std::size_t>(at), ",");
  return number;
}

std::string number_text(const Value& value, const Spec& spec) {
  const bool integral =
      value.is_integral() && std::string_view("feg%").find(spec.type) == std::string_view::npos;
  std::string text;
  const int precision = spec.precision < 0 ? 6 : std::min(spec.precision, 100);
  if (integral) {
    const auto number = value.integer();
    switch (spec.type) {
      case 'x':
        text = fmt::format("{:x}", number);
        break;
      case 'X':
        text = fmt::format("{:X}", number);
        break;
      case 'o':
        text = fmt::format("{:o}", number);
        break;
      case 'b':
        text = fmt::format("{:b}", number);
        break;
      default:
        text = std::to_string(number);
    }
  } else {
    const double number = value.number();
    switch (spec.type) {
      case 'd':
        text = std::to_string(static_cast<std::int64_t>(number));
        break;
      case 'f':
        text = fmt::format("{:.{}f}", number, precision);
        break;
      case '%':
        text = fmt::format("{:.{}f}%", number * 100, precision);
        break;
      case 'e':
        text = fmt::format("{:.{}e}", number, precision);
        break;
      case 'g':
        text = fmt::format("{:.{}g}", number, precision);
        break;
      default:
        text = spec.precision < 0 ? float_text(number) : fmt::format("{:.{}g}", number, precision);
    }
  }
  if (spec.comma)
    text = with_commas(std::move(text));
  if (spec.sign != '-' && !text.starts_with('-'))
    text.insert(0, 1, spec.sign);
  return text;
}

std::string padded(std::string text, const Spec& spec, char default_align) {
  const auto missing = spec.width - character_count(text);
  if (missing <= 0)
    return text;
  const auto pad = [&](std::int64_t count) {
    std::string result;
    for (std::int64_t i = 0; i < count; ++i)
      result += spec.zero && spec.align == 0 ? "0" : spec.fill;
    return result;
  };
  const char align = spec.align != 0 ? spec.align : (spec.zero ? '=' : default_align);
  switch (align) {
    case '<':
      return text + pad(missing);
    case '^':
      return pad(missing / 2) + text + pad(missing - missing / 2);
    case '=': {
      const auto sign = text.find_first_not_of("+- ");
      return text.substr(0, sign) + pad(missing) + text.substr(std::min(sign, text.size()));
    }
    default:
      return pad(missing) + text;
  }
}

Spec parse_spec(std::string_view text) {
  Spec spec;
  std::size_t i = 0;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  const auto first = text.empty() ? 0 : character_size(text, 0);
  if (text.size() > first && is_align(text[first])) {
    spec.fill = std::string(text.substr(0, first));
    spec.align = text[first];
    i = first + 1;
  } else if (!text.empty() && is_align(text[0])) {
    spec.align = text[i++];
  }
  if (i < text.size() && (text[i] == '+' || text[i] == ' ' || text[i] == '-'))
    spec.sign = text[i++];
  if (i < text.size() && text[i] == '0') {
    spec.zero = true;
    ++i;
  }
  spec.width = digits(text, i);
  if (i < text.size() && text[i] == ',') {
    spec.comma = true;
    ++i;
  }
  if (i < text.size() && text[i] == '.') {
    ++i;
    spec.precision = static_cast<int>(digits(text, i));
  }
  if (i < text.size())
    spec.type = text[i++];
  if (i != text.size())
    fail("Invalid format specifier '{}'", text);
  return spec;
}

std::string formatted(const Value& value, std::string_view spec_text) {
  if (spec_text.empty())
    return to_text(value);
  const auto spec = parse_spec(spec_text);
  if (value.is_number() && (spec.type != 0 || value.kind() != Kind::Bool)) {
    if (spec.type == 's')
      fail("Unknown format code 's' for a number");
    return padded(number_text(value, spec), spec, '>');
  }
  if (!value.is_string())
    fail("unsupported format string for {}", type_name(value));
  if (spec.type != 0 && spec.type != 's')
    fail("Unknown format code '{}' for object of type 'str'", spec.type);
  auto text = value.string();
  if (spec.precision >= 0) {
    const auto offsets = character_offsets(text);
    text.resize(offsets[std::min(offsets.size() - 1, static_cast<std::size_t>(spec.precision))]);
  }
  return padded(std::move(text), spec, '<');
}

// The value that "name.part[0]" means; `next` counts "{}" fields.
Value field_value(Runtime& runtime, std::string_view field, const Arguments& arguments, std::size_t& next) {
  auto end = field.find_first_of(".[");
  const auto name = field.substr(0, end);
  Value value;
  const bool is_number =
      !name.empty() && std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
  if (name.empty() || is_number) {
    std::size_t i = 0;
    const auto index = name.empty() ? next++ : static_cast<std::size_t>(digits(name, i));
    if (index >= arguments.positional.size())
      fail("Replacement index {} out of range for positional args tuple", index);
    value = arguments.positional[index];
  } else {
    const auto* given = arguments.find(name);
    if (given == nullptr)
      fail("format: no argument '{}'", name);
    value = *given;
  }
  while (end != std::string_view::npos && end < field.size()) {
    if (field[end] == '.') {
      const auto stop = field.find_first_of(".[", end + 1);
      value = runtime.attribute(
          value, field.substr(end + 1, stop == std::string_view::npos ? stop : stop - end - 1));
      end = stop;
    } else {
      const auto stop = field.find(']', end);
      if (stop == std::string_view::npos)
        fail("format: ']' is missing");
      value = runtime.path(value, Value(field.substr(end + 1, stop - end - 1)));
      end = stop + 1;
    }
  }
  return value;
}

}  // namespace

std::string percent_format(const std::string& format, const Value& values) {
  const bool is_tuple = values.is_list() && values.list().kind == ListKind::Tuple;
  std::size_t used = 0;
  const auto next = [&]() -> Value {
    if (is_tuple ? used >= values.list().items.size() : used > 0)
      fail("not enough arguments for format string");
    return is_tuple ? values.list().items[used++] : (++used, values);
  };
  std::string out;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    Spec spec;
    spec.align = '>';
    std::optional<Value> named;
    if (++i < format.size() && format[i] == '(') {
      const auto close = format.find(')', i);
      if (close == std::string::npos || !values.is_dict())
        fail("format requires a mapping");
      const auto* value = values.dict().find(std::string_view(format).substr(i + 1, close - i - 1));
      if (value == nullptr)
        fail("the format names a missing key");
      named = *value;
      i = close + 1;
    }
    for (; i < format.size() && std::string_view("-+ 0#").find(format[i]) != std::string_view::npos; ++i) {
      if (format[i] == '-')
        spec.align = '<';
      if (format[i] == '+' || format[i] == ' ')
        spec.sign = format[i];
      if (format[i] == '0')
        spec.zero = true;
    }
    spec.width = digits(format, i);
    if (i < format.size() && format[i] == '.')
      spec.precision = static_cast<int>(digits(format, ++i));
    if (i >= format.size())
      fail("incomplete format");
    spec.type = format[i];
    if (spec.type == '%') {
      out += '%';
      continue;
    }
    if (spec.zero && spec.align == '>')
      spec.align = 0;
    const auto value = named ? *named : next();
    if (spec.type == 's' || spec.type == 'r') {
      auto text = spec.type == 's' ? to_text(value) : repr(value);
      spec.zero = false;
      if (spec.align == 0)
        spec.align = '>';
      out += padded(std::move(text), spec, '>');
    } else {
      if (!value.is_number())
        fail("%{} format: a real number is required, not {}", spec.type, type_name(value));
      if (spec.type == 'i' || spec.type == 'u')
        spec.type = 'd';
      if (std::string_view("dfegxXo").find(spec.type) == std::string_view::npos)
        fail("unsupported format character '{}'", spec.type);
      out += padded(number_text(value, spec), spec, '>');
    }
  }
  if (is_tuple && used < values.list().items.size())
    fail("not all arguments converted during string formatting");
  if (!is_tuple && !values.is_dict() && used == 0)
    fail("not all arguments converted during string formatting");
  return out;
}

std::string brace_format(Runtime& runtime, const std::string& format, const Arguments& arguments) {
  std::string out;
  std::size_t next = 0;
  for (std::size_t i = 0; i < format.size(); ++i) {
    const char c = format[i];
    if (c != '{' && c != '}') {
      out += c;
      continue;
    }
    if (i + 1 < format.size() && format[i + 1] == c) {
      out += c;
      ++i;
      continue;
    }
    const auto close = format.find('}', i);
    if (c == '}' || close == std::string::npos)
      fail("Single '{}' encountered in format string", c);
    const auto content = std::string_view(format).substr(i + 1, close - i - 1);
    const auto colon = content.find(':');
    const auto head = content.substr(0, colon);
    const auto bang = head.find('!');
    auto value = field_value(runtime, head.substr(0, bang), arguments, next);
    if (bang != std::string_view::npos)
      value = head.substr(bang) == "!r" ? Value(repr(value)) : Value(to_text(value));
    out += formatted(value, colon == std::string_view::npos ? "" : content.substr(colon + 1));
    runtime.check_size(out.size());
    i = close;
  }
  return out;
}

std::string strftime_now(const Clock& clock, const std::string& format) {
  if (format.empty())
    return "";
  const auto now = std::chrono::system_clock::to_time_t(clock.wall_now());
  std::tm local{};
  localtime_r(&now, &local);
  std::string buffer(format.size() * 4 + 256, '\0');
  buffer.resize(std::strftime(buffer.data(), buffer.size(), format.c_str(), &local));
  return buffer;
}

}  // namespace llmd::text::jinja
