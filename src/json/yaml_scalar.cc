#include "json/yaml_scalar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>

namespace llmd::json {
namespace {

struct Word {
  std::string_view text;
  enum Meaning { Null, True, False, NotFinite } meaning;
};

// YAML 1.1 as go-yaml v2 has it, which is what kubectl uses: only these three spellings of each word.
constexpr auto kWords = std::to_array<Word>({
    {"", Word::Null},           {"~", Word::Null},          {"null", Word::Null},
    {"Null", Word::Null},       {"NULL", Word::Null},       {"y", Word::True},
    {"Y", Word::True},          {"yes", Word::True},        {"Yes", Word::True},
    {"YES", Word::True},        {"true", Word::True},       {"True", Word::True},
    {"TRUE", Word::True},       {"on", Word::True},         {"On", Word::True},
    {"ON", Word::True},         {"n", Word::False},         {"N", Word::False},
    {"no", Word::False},        {"No", Word::False},        {"NO", Word::False},
    {"false", Word::False},     {"False", Word::False},     {"FALSE", Word::False},
    {"off", Word::False},       {"Off", Word::False},       {"OFF", Word::False},
    {".nan", Word::NotFinite},  {".NaN", Word::NotFinite},  {".NAN", Word::NotFinite},
    {".inf", Word::NotFinite},  {".Inf", Word::NotFinite},  {".INF", Word::NotFinite},
    {"+.inf", Word::NotFinite}, {"+.Inf", Word::NotFinite}, {"+.INF", Word::NotFinite},
    {"-.inf", Word::NotFinite}, {"-.Inf", Word::NotFinite}, {"-.INF", Word::NotFinite},
});

constexpr std::string_view kTagPrefix = "tag:yaml.org,2002:";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::optional<Value> parse_unsigned(std::string_view digits, int base, bool negative) {
  std::uint64_t magnitude = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), magnitude, base);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) {
    return std::nullopt;
  }
  constexpr std::uint64_t kLowest = std::uint64_t{1} << 63;
  if (!negative) {
    return magnitude < kLowest ? Value(static_cast<std::int64_t>(magnitude)) : Value(magnitude);
  }
  if (magnitude > kLowest) {
    return std::nullopt;
  }
  return Value(static_cast<std::int64_t>(~magnitude + 1));
}

// 12, +12, 0x1F, 0b101, 0o644, 0644; a leading zero means octal if all digits are, else the number is
// decimal.
std::optional<Value> parse_integer_scalar(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) {
    text.remove_prefix(1);
  }
  if (text.size() > 1 && text.front() == '0') {
    switch (text[1]) {
      case 'x':
      case 'X':
        return parse_unsigned(text.substr(2), 16, negative);
      case 'b':
      case 'B':
        return parse_unsigned(text.substr(2), 2, negative);
      case 'o':
      case 'O':
        return parse_unsigned(text.substr(2), 8, negative);
      default:
        return parse_unsigned(text, 8, negative);
    }
  }
  return parse_unsigned(text, 10, negative);
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool has_float_form(std::string_view text) {
  const auto take_digits = [&text] {
    std::size_t count = 0;
    while (count < text.size() && is_digit(text[count])) {
      ++count;
    }
    text.remove_prefix(count);
    return count;
  };
  const auto take_one_of = [&text](std::string_view set) {
    const bool there = !text.empty() && set.find(text.front()) != std::string_view::npos;
    text.remove_prefix(there ? 1 : 0);
    return there;
  };
  take_one_of("+-");
  const std::size_t whole = take_digits();
  const std::size_t fraction = take_one_of(".") ? take_digits() : 0;
  if (whole + fraction == 0) {
    return false;
  }
  if (take_one_of("eE")) {
    take_one_of("+-");
    if (take_digits() == 0) {
      return false;
    }
  }
  return text.empty();
}

std::optional<Value> parse_float_scalar(std::string_view text) {
  if (!has_float_form(text)) {
    return std::nullopt;
  }
  const double number = std::strtod(std::string(text).c_str(), nullptr);
  if (!std::isfinite(number)) {
    return std::nullopt;
  }
  // Kubernetes' JSON round trip turns 3.0 and 1e3 into integers; so do we.
  if (std::trunc(number) == number && std::abs(number) < 9223372036854775808.0) {
    return Value(static_cast<std::int64_t>(number));
  }
  return Value(number);
}

Value as_string(std::string_view text) {
  return Value(boost::json::string_view(text.data(), text.size()));
}

Result<Value> decode_binary(std::string_view text) {
  std::string out;
  unsigned bits = 0;
  int count = 0;
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (const char c : text) {
    if (c == '=' || c == '\n' || c == ' ') {
      continue;
    }
    const std::size_t digit = kAlphabet.find(c);
    if (digit == std::string_view::npos) {
      return invalid_argument("!!binary is not base64");
    }
    bits = (bits << 6 | static_cast<unsigned>(digit)) & 0xffffff;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>(bits >> count & 0xff);
    }
  }
  return as_string(out);
}

// 2001-01-01, alone or at the start of a timestamp.
bool starts_like_a_date(std::string_view text) {
  std::size_t digits = 0;
  while (digits < text.size() && is_digit(text[digits])) {
    ++digits;
  }
  return digits == 4 && text.size() >= 8 && text[4] == '-' && is_digit(text[5]);
}

// 190:20:30 is 685230 for YAML 1.1 readers other than Go's.
bool looks_sexagesimal(std::string_view text) {
  return text.find(':') != std::string_view::npos && std::ranges::all_of(text, [](char c) {
           return is_digit(c) || c == ':' || c == '.' || c == '_' || c == '+' || c == '-';
         });
}

}  // namespace

Result<Value> resolve_plain_scalar(std::string_view text) {
  for (const Word& word : kWords) {
    if (word.text == text) {
      switch (word.meaning) {
        case Word::Null:
          return Value(nullptr);
        case Word::True:
          return Value(true);
        case Word::False:
          return Value(false);
        case Word::NotFinite:
          return invalid_argument("JSON has no number {}", text).hint("put it in quotes");
      }
    }
  }
  if (is_digit(text.front()) || text.front() == '+' || text.front() == '-' || text.front() == '.') {
    std::string digits(text);
    std::erase(digits, '_');
    if (auto integer = parse_integer_scalar(digits)) {
      return std::move(*integer);
    }
    if (auto number = parse_float_scalar(digits)) {
      return std::move(*number);
    }
  }
  return as_string(text);
}

Result<Value> resolve_tagged_scalar(std::string_view text, std::string_view tag) {
  if (tag == "!") {  // the non-specific tag: never anything but a string
    return as_string(text);
  }
  if (!tag.starts_with(kTagPrefix)) {
    return invalid_argument("unknown tag {}", tag);
  }
  const std::string_view name = tag.substr(kTagPrefix.size());
  if (name == "str") {
    return as_string(text);
  }
  if (name == "binary") {
    return decode_binary(text);
  }
  LLMD_TRY(Value value, resolve_plain_scalar(text));
  const bool fits = (name == "int" && (value.is_int64() || value.is_uint64())) ||
                    (name == "float" && value.is_number()) || (name == "bool" && value.is_bool()) ||
                    (name == "null" && value.is_null()) || (name == "timestamp" && value.is_string());
  if (!fits) {
    return invalid_argument("\"{}\" is no !!{}", text, name);
  }
  return value;
}

bool reads_as_itself(std::string_view text) {
  const auto value = resolve_plain_scalar(text);
  return value && value->is_string() && text != "<<" && text != "=" && !starts_like_a_date(text) &&
         !looks_sexagesimal(text);
}

}  // namespace llmd::json
