// Filters whose subject is one value: text, numbers, JSON.
#include <charconv>
#include <cmath>
#include <unordered_map>

#include "text/jinja_runtime.h"
#include "text/jinja_unicode.h"

namespace llmd::text::jinja {
namespace {

Value trim_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto text = to_text(value);
  const auto* characters = arguments.get(0, "chars");
  if (characters != nullptr && characters->is_string() && characters->string().empty())
    return runtime.text(text);
  return runtime.text(std::string(strip(text, string_argument(arguments, 0, "chars", ""), Side::Both)));
}

template <std::string (*map)(std::string_view)>
Value mapped_filter(Runtime& runtime, const Value& value, const Arguments&) {
  return runtime.text(map(to_text(value)), value.is_markup());
}

// Jinja's own title: words begin behind anything but letters, digits and apostrophes.
std::string jinja_title(std::string_view text) {
  std::string out;
  bool begin = true;
  for (std::size_t i = 0; i < text.size();) {
    const auto size = character_size(text, i);
    const auto character = text.substr(i, size);
    out += begin ? upper(character) : lower(character);
    begin = is_space(character) || std::string_view("-({[<").find(character) != std::string_view::npos;
    i += size;
  }
  return out;
}

Value string_filter(Runtime& runtime, const Value& value, const Arguments&) {
  return value.is_string() ? value : runtime.text(to_text(value));
}

Value safe_filter(Runtime& runtime, const Value& value, const Arguments&) {
  return runtime.text(to_text(value), true);
}

Value escape_filter(Runtime& runtime, const Value& value, const Arguments&) {
  return value.is_markup() ? value : runtime.text(html_escaped(to_text(value)), true);
}

Value replace_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Arguments text;
  text.positional = {string_argument(arguments, 0, "old", ""), string_argument(arguments, 1, "new", ""),
                     integer_argument(arguments, 2, "count", -1)};
  if (arguments.get(0, "old") == nullptr || arguments.get(1, "new") == nullptr)
    fail("replace needs old and new");
  const auto method = bound_method(value.is_string() ? value : Value(to_text(value)), "replace");
  return runtime.call(*method, text);
}

Value indent_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto* width = arguments.get(0, "width");
  const bool first = bool_argument(arguments, 1, "first", false);
  const bool blank = bool_argument(arguments, 2, "blank", false);
  std::string margin(4, ' ');
  if (width != nullptr && width->is_string()) {
    margin = width->string();
  } else if (width != nullptr) {
    const auto columns = std::max<std::int64_t>(0, integer_argument(arguments, 0, "width", 4));
    runtime.check_size(static_cast<std::size_t>(columns));
    margin.assign(static_cast<std::size_t>(columns), ' ');
  }
  const auto text = to_text(value);
  std::string out = first ? margin : "";
  // The text counts as if it ended with a newline that is taken away again, as Jinja does it.
  for (std::size_t at = 0; at <= text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    const bool is_first = at == 0;
    if (!is_first) {
      out += '\n';
      if (end > at || blank)
        out += margin;
    }
    out.append(text, at, end - at);
    runtime.check_size(out.size());
    at = end + 1;
  }
  return runtime.text(std::move(out));
}

Value tojson_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  // transformers: tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False)
  JsonStyle style;
  style.ensure_ascii = bool_argument(arguments, 0, "ensure_ascii", false);
  style.sort_keys = bool_argument(arguments, 3, "sort_keys", false);
  std::string margin;
  const auto* indent = arguments.get(1, "indent");
  if (indent != nullptr && !indent->is_none()) {
    const auto width =
        indent->is_string() ? 0 : std::max<std::int64_t>(0, integer_argument(arguments, 1, "indent", 0));
    if (width > 100)
      fail("tojson: an indent of {} is too wide", width);
    margin = indent->is_string() ? indent->string() : std::string(static_cast<std::size_t>(width), ' ');
    style.indent = &margin;
    style.item_separator = ",";
  }
  const auto* separators = arguments.get(2, "separators");
  if (separators != nullptr && !separators->is_none()) {
    const auto parts = runtime.iterate(*separators);
    if (parts.size() != 2)
      fail("tojson: separators must be two texts");
    style.item_separator = to_text(parts[0]);
    style.key_separator = to_text(parts[1]);
  }
  return runtime.text(to_json(value, style));
}

Value default_filter(Runtime&, const Value& value, const Arguments& arguments) {
  const auto* fallback = arguments.get(0, "default_value");
  const bool also_false = bool_argument(arguments, 1, "boolean", false);
  if (!value.is_undefined() && !(also_false && !truthy(value)))
    return value;
  return fallback != nullptr ? *fallback : Value("");
}

Value int_filter(Runtime&, const Value& value, const Arguments& arguments) {
  const auto* given = arguments.get(0, "default");
  const auto fallback = given != nullptr ? *given : Value(std::int64_t{0});
  const auto base = integer_argument(arguments, 1, "base", 10);
  if (value.is_undefined())
    fail("{}", value.undefined_message());
  if (value.is_integral())
    return value.integer();
  if (value.is_number()) {
    const double number = value.number();
    return std::isfinite(number) && std::fabs(number) < 9e18 ? Value(static_cast<std::int64_t>(number))
                                                             : fallback;
  }
  if (!value.is_string() || base < 2 || base > 36)
    return fallback;
  auto text = strip(value.string(), "", Side::Both);
  if (text.starts_with('+'))
    text.remove_prefix(1);
  for (const auto& [prefix, of_base] : {std::pair{"0x", 16}, {"0X", 16}, {"0o", 8}, {"0b", 2}}) {
    if (base == of_base && text.starts_with(prefix))
      text.remove_prefix(2);
  }
  std::int64_t number = 0;
  const auto* end = text.data() + text.size();
  if (const auto result = std::from_chars(text.data(), end, number, static_cast<int>(base));
      result.ec == std::errc() && result.ptr == end) {
    return number;
  }
  double real = 0;
  if (const auto result = std::from_chars(text.data(), end, real);
      result.ec == std::errc() && result.ptr == end && std::fabs(real) < 9e18) {
    return static_cast<std::int64_t>(real);
  }
  return fallback;
}

Value float_filter(Runtime&, const Value& value, const Arguments& arguments) {
  const auto* given = arguments.get(0, "default");
  const auto fallback = given != nullptr ? *given : Value(0.0);
  if (value.is_undefined())
    fail("{}", value.undefined_message());
  if (value.is_number())
    return value.number();
  if (!value.is_string())
    return fallback;
  auto text = strip(value.string(), "", Side::Both);
  if (text.starts_with('+'))
    text.remove_prefix(1);
  double real = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), real);
  return result.ec == std::errc() && result.ptr == text.data() + text.size() ? Value(real) : fallback;
}

Value abs_filter(Runtime&, const Value& value, const Arguments&) {
  if (value.is_integral())
    return value.integer() < 0 ? Value(-value.integer()) : Value(value.integer());
  if (!value.is_number())
    fail("bad operand type for abs(): '{}'", type_name(value));
  return std::fabs(value.number());
}

Value round_filter(Runtime&, const Value& value, const Arguments& arguments) {
  const auto precision = integer_argument(arguments, 0, "precision", 0);
  const auto method = string_argument(arguments, 1, "method", "common");
  if (!value.is_number())
    fail("type {} doesn't define __round__ method", type_name(value));
  if (std::abs(precision) > 300)
    fail("round: the precision is out of range");
  const double number = value.number();
  if (method == "common") {
    if (value.is_integral() && precision >= 0)
      return value.integer();
    if (precision < 0) {
      const double scale = std::pow(10.0, static_cast<double>(-precision));
      const double rounded = std::nearbyint(number / scale) * scale;
      if (value.is_integral() && std::fabs(rounded) < 9e18)
        return static_cast<std::int64_t>(rounded);
      return rounded;
    }
    return std::strtod(fmt::format("{:.{}f}", number, precision).c_str(),
                       nullptr);  // decimal, ties to even like Python
  }
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (method == "ceil")
    return std::ceil(number * scale) / scale;
  if (method == "floor")
    return std::floor(number * scale) / scale;
  fail("method must be common, ceil or floor");
}

Value format_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  if (!arguments.keyword.empty()) {
    Dict named;
    for (const auto& [name, item] : arguments.keyword)
      named.set(name, item);
    return runtime.text(percent_format(to_text(value), Value::dict(std::move(named))));
  }
  return runtime.text(percent_format(to_text(value), Value::list(arguments.positional, ListKind::Tuple)));
}

Value truncate_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto length = integer_argument(arguments, 0, "length", 255);
  const bool kill_words = bool_argument(arguments, 1, "killwords", false);
  const auto end = string_argument(arguments, 2, "end", "...");
  const auto leeway = integer_argument(arguments, 3, "leeway", 5);
  const auto text = to_text(value);
  const auto offsets = character_offsets(text);
  const auto size = static_cast<std::int64_t>(offsets.size()) - 1;
  const auto keep = length - character_count(end);
  if (keep < 0)
    fail("truncate: the length is shorter than its end mark");
  if (size <= length + std::max<std::int64_t>(0, leeway))
    return runtime.text(text);
  auto head = text.substr(0, offsets[static_cast<std::size_t>(keep)]);
  if (!kill_words)
    head = head.substr(0, head.rfind(' '));
  return runtime.text(head + end);
}

Value center_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto text = to_text(value);
  const auto width = integer_argument(arguments, 0, "width", 80);
  const auto missing = std::max<std::int64_t>(0, width - character_count(text));
  runtime.check_size(text.size() + static_cast<std::size_t>(missing));
  // Python puts the odd blank on the left when the width is odd, else on the right.
  const auto left = missing / 2 + (missing & width & 1);
  return runtime.text(std::string(static_cast<std::size_t>(left), ' ') + text +
                      std::string(static_cast<std::size_t>(missing - left), ' '));
}

Value forceescape_filter(Runtime& runtime, const Value& value, const Arguments&) {
  return runtime.text(html_escaped(to_text(value)), true);
}

Value wordcount_filter(Runtime&, const Value& value, const Arguments&) {
  const auto text = to_text(value);
  std::int64_t words = 0;
  bool inside = false;
  for (std::size_t i = 0; i < text.size(); i += character_size(text, i)) {
    const auto character = std::string_view(text).substr(i, character_size(text, i));
    const bool in_word =
        character == "_" || static_cast<unsigned char>(character[0]) >= 0x80 || all_of_class(character, 'n');
    if (in_word && !inside)
      ++words;
    inside = in_word;
  }
  return words;
}

Value length_filter(Runtime& runtime, const Value& value, const Arguments&) {
  return runtime.length(value);
}

}  // namespace

Filter find_text_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, Filter> kFilters{
      {"trim", trim_filter},
      {"upper", mapped_filter<upper>},
      {"lower", mapped_filter<lower>},
      {"title", mapped_filter<jinja_title>},
      {"capitalize", mapped_filter<capitalize>},
      {"string", string_filter},
      {"safe", safe_filter},
      {"e", escape_filter},
      {"escape", escape_filter},
      {"replace", replace_filter},
      {"indent", indent_filter},
      {"tojson", tojson_filter},
      {"default", default_filter},
      {"d", default_filter},
      {"int", int_filter},
      {"float", float_filter},
      {"abs", abs_filter},
      {"round", round_filter},
      {"format", format_filter},
      {"truncate", truncate_filter},
      {"center", center_filter},
      {"forceescape", forceescape_filter},
      {"wordcount", wordcount_filter},
      {"length", length_filter},
      {"count", length_filter},
  };
  const auto found = kFilters.find(name);
  return found == kFilters.end() ? nullptr : found->second;
}

}  // namespace llmd::text::jinja
