#include "text/go_template_functions.h"

#include <algorithm>
#include <array>
#include <compare>
#include <utility>

#include "base/strings.h"
#include "json/path.h"

namespace llmd::text::go {
namespace {

std::string_view view(const json::Value& value) {
  return {value.get_string().data(), value.get_string().size()};
}
json::Value string_value(std::string_view text) {
  return json::Value(json::String(text.data(), text.size()));
}

Error wrong_count(std::string_view function, std::string_view wanted, std::size_t got) {
  return invalid_argument("{} takes {} arguments, got {}", function, wanted, got);
}

Result<std::partial_ordering> compare(const json::Value& a, const json::Value& b) {
  if (a.is_string() && b.is_string()) {
    return std::partial_ordering(view(a) <=> view(b));
  }
  const auto left = json::as_integer(a);
  const auto right = json::as_integer(b);
  if (left && right) {
    return std::partial_ordering(*left <=> *right);
  }
  if (a.is_number() && b.is_number()) {
    return a.to_number<double>() <=> b.to_number<double>();
  }
  return invalid_argument("cannot compare {} with {}", json::kind_name(a), json::kind_name(b));
}

bool equal(const json::Value& a, const json::Value& b) {
  if (a.is_number() && b.is_number()) {
    return a.to_number<double>() == b.to_number<double>();
  }
  return a == b;
}

Result<json::Value> eq(Arguments arguments) {
  if (arguments.size() < 2) {
    return wrong_count("eq", "at least 2", arguments.size());
  }
  return json::Value(std::any_of(arguments.begin() + 1, arguments.end(),
                                 [&](const json::Value& other) { return equal(arguments[0], other); }));
}

Result<json::Value> ne(Arguments arguments) {
  if (arguments.size() != 2) {
    return wrong_count("ne", "2", arguments.size());
  }
  return json::Value(!equal(arguments[0], arguments[1]));
}

template <typename Accept>
Result<json::Value> ordered(std::string_view name, Arguments arguments, Accept accept) {
  if (arguments.size() != 2) {
    return wrong_count(name, "2", arguments.size());
  }
  LLMD_TRY(const auto order, compare(arguments[0], arguments[1]));
  return json::Value(accept(order));
}
Result<json::Value> lt(Arguments a) {
  return ordered("lt", a, [](auto o) { return o < 0; });
}
Result<json::Value> le(Arguments a) {
  return ordered("le", a, [](auto o) { return o <= 0; });
}
Result<json::Value> gt(Arguments a) {
  return ordered("gt", a, [](auto o) { return o > 0; });
}
Result<json::Value> ge(Arguments a) {
  return ordered("ge", a, [](auto o) { return o >= 0; });
}

Result<json::Value> negate(Arguments arguments) {
  if (arguments.size() != 1) {
    return wrong_count("not", "1", arguments.size());
  }
  return json::Value(!is_true(arguments[0]));
}

Result<json::Value> len(Arguments arguments) {
  if (arguments.size() != 1) {
    return wrong_count("len", "1", arguments.size());
  }
  const json::Value& value = arguments[0];
  if (value.is_string()) {
    return json::Value(static_cast<std::int64_t>(value.get_string().size()));
  }
  if (value.is_array()) {
    return json::Value(static_cast<std::int64_t>(value.get_array().size()));
  }
  if (value.is_object()) {
    return json::Value(static_cast<std::int64_t>(value.get_object().size()));
  }
  return invalid_argument("len of {}", json::kind_name(value));
}

Result<json::Value> index(Arguments arguments) {
  if (arguments.empty()) {
    return wrong_count("index", "at least 1", 0);
  }
  const json::Value* current = &arguments[0];
  for (const json::Value& step : arguments.subspan(1)) {
    if (current->is_object() && step.is_string()) {
      const auto* member = current->get_object().if_contains(step.get_string());
      if (member == nullptr) {
        return invalid_argument("index: no key '{}'", view(step));
      }
      current = member;
    } else if (const auto position = json::as_integer(step); current->is_array() && position) {
      const auto& array = current->get_array();
      if (*position < 0 || static_cast<std::size_t>(*position) >= array.size()) {
        return invalid_argument("index: {} is out of range, the list has {} elements", *position,
                                array.size());
      }
      current = &array[static_cast<std::size_t>(*position)];
    } else {
      return invalid_argument("cannot index {} with {}", json::kind_name(*current), json::kind_name(step));
    }
  }
  return *current;
}

// Go's print puts a space between operands when neither is a string.
Result<json::Value> print(Arguments arguments) {
  std::string out;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (i > 0 && !arguments[i].is_string() && !arguments[i - 1].is_string()) {
      out += ' ';
    }
    print_to(out, arguments[i]);
  }
  return string_value(out);
}

Result<json::Value> println(Arguments arguments) {
  std::string out;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    out += i > 0 ? " " : "";
    print_to(out, arguments[i]);
  }
  return string_value(out + "\n");
}

struct Verb {
  bool left = false;
  bool zero = false;
  std::size_t width = 0;
  char letter = 'v';
};

Verb read_verb(std::string_view format, std::size_t& at) {
  Verb verb;
  for (; at < format.size() && (format[at] == '-' || format[at] == '0'); ++at) {
    (format[at] == '-' ? verb.left : verb.zero) = true;
  }
  for (; at < format.size() && format[at] >= '0' && format[at] <= '9' && verb.width < 1000; ++at) {
    verb.width = verb.width * 10 + static_cast<std::size_t>(format[at] - '0');
  }
  verb.letter = at < format.size() ? format[at++] : '\0';
  return verb;
}

Result<std::string> format_one(const Verb& verb, const json::Value& value) {
  std::string text;
  const auto integer = json::as_integer(value);
  if (verb.letter == 'd' || verb.letter == 'x') {
    if (!integer) {
      return invalid_argument("printf: %{} needs an integer, got {}", verb.letter, json::kind_name(value));
    }
    text = verb.letter == 'd' ? fmt::format("{}", *integer) : fmt::format("{:x}", *integer);
  } else if (verb.letter == 'f') {
    if (!value.is_number()) {
      return invalid_argument("printf: %f needs a number, got {}", json::kind_name(value));
    }
    text = fmt::format("{:f}", value.to_number<double>());
  } else if (verb.letter == 'q') {
    std::string plain;
    print_to(plain, value);
    json::write_quoted_to(text, plain);
  } else if (verb.letter == 's' || verb.letter == 'v' || verb.letter == 't') {
    print_to(text, value);
  } else {
    return invalid_argument("printf: unknown verb %{}", verb.letter);
  }
  if (text.size() < verb.width) {
    const std::string padding(verb.width - text.size(), verb.zero && !verb.left ? '0' : ' ');
    text = verb.left ? text + padding : padding + text;
  }
  return text;
}

Result<json::Value> printf(Arguments arguments) {
  if (arguments.empty() || !arguments[0].is_string()) {
    return invalid_argument("printf needs a format string");
  }
  const std::string_view format = view(arguments[0]);
  std::string out;
  std::size_t used = 1;
  for (std::size_t at = 0; at < format.size();) {
    const char c = format[at++];
    if (c != '%') {
      out += c;
      continue;
    }
    const Verb verb = read_verb(format, at);
    if (verb.letter == '%') {
      out += '%';
      continue;
    }
    if (used >= arguments.size()) {
      return invalid_argument("printf: '{}' asks for more than {} values", format, arguments.size() - 1);
    }
    LLMD_TRY(const auto text, format_one(verb, arguments[used++]));
    out += text;
  }
  if (used != arguments.size()) {
    return invalid_argument("printf: '{}' uses {} of {} values", format, used - 1, arguments.size() - 1);
  }
  return string_value(out);
}

constexpr std::array<std::pair<std::string_view, Builtin>, 12> kBuiltins{{{"eq", eq},
                                                                          {"ge", ge},
                                                                          {"gt", gt},
                                                                          {"index", index},
                                                                          {"le", le},
                                                                          {"len", len},
                                                                          {"lt", lt},
                                                                          {"ne", ne},
                                                                          {"not", negate},
                                                                          {"print", print},
                                                                          {"printf", printf},
                                                                          {"println", println}}};
constexpr std::array<std::string_view, 14> kNames{"and", "eq", "ge",  "gt", "index", "le",     "len",
                                                  "lt",  "ne", "not", "or", "print", "printf", "println"};

}  // namespace

Builtin find_builtin(std::string_view name) {
  const auto* found = std::ranges::find(kBuiltins, name, &std::pair<std::string_view, Builtin>::first);
  return found == kBuiltins.end() ? nullptr : found->second;
}

std::span<const std::string_view> builtin_names() {
  return kNames;
}

bool is_true(const json::Value& value) {
  switch (value.kind()) {
    case boost::json::kind::null:
      return false;
    case boost::json::kind::bool_:
      return value.get_bool();
    case boost::json::kind::string:
      return !value.get_string().empty();
    case boost::json::kind::array:
      return !value.get_array().empty();
    case boost::json::kind::object:
      return !value.get_object().empty();
    default:
      return value.to_number<double>() != 0;
  }
}

void print_to(std::string& out, const json::Value& value) {
  if (value.is_string()) {
    out += view(value);
  } else if (value.is_double()) {
    out += fmt::format("{}", value.get_double());
  } else if (value.is_array()) {
    out += '[';
    for (std::size_t i = 0; i < value.get_array().size(); ++i) {
      out += i > 0 ? " " : "";
      print_to(out, value.get_array()[i]);
    }
    out += ']';
  } else if (value.is_object()) {
    out += "map[";
    std::string_view separator;
    for (const auto& member : value.get_object()) {
      out += separator;
      out += std::string_view(member.key().data(), member.key().size());
      out += ':';
      print_to(out, member.value());
      separator = " ";
    }
    out += ']';
  } else {
    json::write_to(out, value);
  }
}

}  // namespace llmd::text::go
