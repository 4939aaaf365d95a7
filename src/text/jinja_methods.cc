// Methods of str, list, tuple and dict that templates call. What would change the object is forbidden by the
// sandbox.
#include <algorithm>
#include <array>

#include "text/jinja_runtime.h"
#include "text/jinja_unicode.h"

namespace llmd::text::jinja {
namespace {

using Method = Value (*)(Runtime&, const Value&, const Arguments&);
struct Named {
  std::string_view name;
  Method method;
};

const std::string& text_argument(const Arguments& arguments, std::size_t position, std::string_view method) {
  if (position >= arguments.positional.size() || !arguments.positional[position].is_string()) {
    fail("{}() needs a str argument", method);
  }
  return arguments.positional[position].string();
}

template <Side side>
Value strip_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const bool whitespace = arguments.positional.empty() || arguments.positional[0].is_none();
  const std::string characters = whitespace ? "" : text_argument(arguments, 0, "strip");
  if (!whitespace && characters.empty())
    return self;
  return runtime.text(std::string(strip(self.string(), characters, side)));
}

// Words, and what the limit left together: at the end, or at the beginning for rsplit.
std::vector<Value> split_whitespace(std::string_view text, std::int64_t limit, bool from_right) {
  struct Word {
    std::size_t begin, end;
  };
  std::vector<Word> words;
  bool inside = false;
  for (std::size_t i = 0; i < text.size();) {
    const auto size = character_size(text, i);
    const bool space = is_space(text.substr(i, size));
    if (!space && !inside)
      words.push_back({i, i});
    if (!space)
      words.back().end = i + size;
    inside = !space;
    i += size;
  }
  const auto count = words.size();
  const auto single = limit < 0 ? count : std::min(count, static_cast<std::size_t>(limit));
  std::vector<Value> parts;
  const auto word = [&](std::size_t i) {
    return Value(text.substr(words[i].begin, words[i].end - words[i].begin));
  };
  if (from_right && single < count)
    parts.emplace_back(text.substr(0, words[count - single - 1].end));
  for (std::size_t i = 0; i < single; ++i)
    parts.push_back(word(from_right ? count - single + i : i));
  if (!from_right && single < count)
    parts.emplace_back(text.substr(words[single].begin));
  return parts;
}

template <bool from_right>
Value split_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  std::string_view text = self.string();
  const auto limit = integer_argument(arguments, 1, "maxsplit", -1);
  const auto* given = arguments.get(0, "sep");
  if (given == nullptr || given->is_none()) {
    runtime.charge(text.size() / 4);
    return Value::list(split_whitespace(text, limit, from_right));
  }
  if (!given->is_string() || given->string().empty())
    fail("split() needs a separator that is not empty");
  const std::string& separator = given->string();
  std::vector<Value> parts;
  runtime.charge(text.size() / 32);
  while (limit < 0 || static_cast<std::int64_t>(parts.size()) < limit) {
    const auto at = from_right ? text.rfind(separator) : text.find(separator);
    if (at == std::string_view::npos)
      break;
    runtime.charge(1);
    const auto behind = at + separator.size();
    parts.emplace_back(from_right ? text.substr(behind) : text.substr(0, at));
    text = from_right ? text.substr(0, at) : text.substr(behind);
  }
  parts.emplace_back(text);
  if (from_right)
    std::ranges::reverse(parts);
  return Value::list(std::move(parts));
}

template <bool at_end>
Value affix_method(Runtime&, const Value& self, const Arguments& arguments) {
  if (arguments.positional.empty())
    fail("startswith() and endswith() need an argument");
  const auto& wanted = arguments.positional[0];
  const auto matches = [&](const Value& affix) {
    if (!affix.is_string())
      fail("startswith first arg must be str or a tuple of str, not {}", type_name(affix));
    return at_end ? self.string().ends_with(affix.string()) : self.string().starts_with(affix.string());
  };
  if (wanted.is_list() && wanted.list().kind == ListKind::Tuple)
    return std::ranges::any_of(wanted.list().items, matches);
  return matches(wanted);
}

Value replace_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const auto& from = text_argument(arguments, 0, "replace");
  const auto& to = text_argument(arguments, 1, "replace");
  auto left = integer_argument(arguments, 2, "count", -1);
  const std::string& text = self.string();
  runtime.charge(text.size() / 32);
  std::string out;
  std::size_t at = 0;
  while (left != 0 && at <= text.size()) {
    const auto found = from.empty() ? at : text.find(from, at);
    if (found == std::string::npos)
      break;
    out.append(text, at, found - at);
    out += to;
    runtime.check_size(out.size());
    --left;
    at = found + from.size();
    if (from.empty()) {
      if (at == text.size())
        return runtime.text(std::move(out));
      const auto size = character_size(text, at);
      out.append(text, at, size);
      at += size;
    }
  }
  out.append(text, std::min(at, text.size()));
  return runtime.text(std::move(out));
}

template <std::string (*map)(std::string_view)>
Value mapped_method(Runtime& runtime, const Value& self, const Arguments&) {
  return runtime.text(map(self.string()));
}

template <char python_class>
Value class_method(Runtime&, const Value& self, const Arguments&) {
  return all_of_class(self.string(), python_class);
}

template <bool last>
Value find_method(Runtime&, const Value& self, const Arguments& arguments) {
  const auto& wanted = text_argument(arguments, 0, "find");
  const auto at = last ? self.string().rfind(wanted) : self.string().find(wanted);
  if (at == std::string::npos)
    return std::int64_t{-1};
  return character_count(std::string_view(self.string()).substr(0, at));
}

Value index_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const auto position = find_method<false>(runtime, self, arguments);
  if (position.integer() < 0)
    fail("substring not found");
  return position;
}

Value count_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const auto& wanted = text_argument(arguments, 0, "count");
  runtime.charge(self.string().size() / 32);
  if (wanted.empty())
    return character_count(self.string()) + 1;
  std::int64_t count = 0;
  for (auto at = self.string().find(wanted); at != std::string::npos;
       at = self.string().find(wanted, at + wanted.size()))
    ++count;
  return count;
}

Value join_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (arguments.positional.size() != 1)
    fail("join() takes one argument");
  std::string out;
  bool first = true;
  for (const auto& item : runtime.iterate(arguments.positional[0])) {
    if (!item.is_string())
      fail("sequence item: expected str instance, {} found", type_name(item));
    if (!std::exchange(first, false))
      out += self.string();
    out += item.string();
    runtime.check_size(out.size());
  }
  return runtime.text(std::move(out));
}

Value splitlines_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const bool keep = bool_argument(arguments, 0, "keepends", false);
  const std::string& text = self.string();
  std::vector<Value> lines;
  runtime.charge(text.size() / 8);
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find_first_of("\n\r\v\f", at), text.size());
    auto next = end + (end < text.size() ? 1 : 0);
    if (end + 1 < text.size() && text[end] == '\r' && text[end + 1] == '\n')
      ++next;
    lines.emplace_back(std::string_view(text).substr(at, (keep ? next : end) - at));
    at = next;
  }
  return Value::list(std::move(lines));
}

Value format_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return runtime.text(brace_format(runtime, self.string(), arguments));
}

template <bool prefix>
Value remove_affix_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  std::string_view text = self.string();
  const auto& affix = text_argument(arguments, 0, "removeprefix");
  if (prefix && text.starts_with(affix))
    text.remove_prefix(affix.size());
  if (!prefix && text.ends_with(affix))
    text.remove_suffix(affix.size());
  return runtime.text(std::string(text));
}

template <bool last>
Value partition_method(Runtime&, const Value& self, const Arguments& arguments) {
  const auto& separator = text_argument(arguments, 0, "partition");
  if (separator.empty())
    fail("empty separator");
  const std::string_view text = self.string();
  const auto at = last ? text.rfind(separator) : text.find(separator);
  std::vector<Value> parts;
  if (at == std::string_view::npos) {
    parts = last ? std::vector<Value>{"", "", self} : std::vector<Value>{self, "", ""};
  } else {
    parts = {text.substr(0, at), separator, text.substr(at + separator.size())};
  }
  return Value::list(std::move(parts), ListKind::Tuple);
}

constexpr Named kStringMethods[] = {
    {"strip", strip_method<Side::Both>},
    {"lstrip", strip_method<Side::Left>},
    {"rstrip", strip_method<Side::Right>},
    {"split", split_method<false>},
    {"rsplit", split_method<true>},
    {"startswith", affix_method<false>},
    {"endswith", affix_method<true>},
    {"replace", replace_method},
    {"upper", mapped_method<upper>},
    {"lower", mapped_method<lower>},
    {"title", mapped_method<title>},
    {"capitalize", mapped_method<capitalize>},
    {"find", find_method<false>},
    {"rfind", find_method<true>},
    {"index", index_method},
    {"count", count_method},
    {"join", join_method},
    {"splitlines", splitlines_method},
    {"format", format_method},
    {"removeprefix", remove_affix_method<true>},
    {"removesuffix", remove_affix_method<false>},
    {"partition", partition_method<false>},
    {"rpartition", partition_method<true>},
    {"isdigit", class_method<'d'>},
    {"isdecimal", class_method<'d'>},
    {"isnumeric", class_method<'d'>},
    {"isalpha", class_method<'a'>},
    {"isalnum", class_method<'n'>},
    {"isspace", class_method<'s'>},
    {"isupper", class_method<'u'>},
    {"islower", class_method<'l'>},
};

Value get_method(Runtime&, const Value& self, const Arguments& arguments) {
  if (arguments.positional.empty() || arguments.positional.size() > 2 || !arguments.keyword.empty()) {
    fail("get() takes a key and an optional default");
  }
  if (const auto* value = self.dict().find(arguments.positional[0]))
    return *value;
  return arguments.positional.size() == 2 ? arguments.positional[1] : Value(None{});
}

Value keys_method(Runtime& runtime, const Value& self, const Arguments&) {
  return Value::list(runtime.iterate(self), ListKind::View);
}

Value values_method(Runtime& runtime, const Value& self, const Arguments&) {
  runtime.charge(self.dict().entries.size());
  std::vector<Value> items;
  for (const auto& [key, value] : self.dict().entries)
    items.push_back(value);
  return Value::list(std::move(items), ListKind::View);
}

Value items_method(Runtime& runtime, const Value& self, const Arguments&) {
  runtime.charge(self.dict().entries.size());
  std::vector<Value> items;
  for (const auto& [key, value] : self.dict().entries)
    items.push_back(Value::list({key, value}, ListKind::Tuple));
  return Value::list(std::move(items), ListKind::View);
}

Value copy_method(Runtime&, const Value& self, const Arguments&) {
  return self;
}

constexpr Named kDictMethods[] = {
    {"get", get_method},     {"keys", keys_method}, {"values", values_method},
    {"items", items_method}, {"copy", copy_method},
};

Value list_index_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (arguments.positional.empty())
    fail("index() takes an argument");
  const auto& items = self.list().items;
  runtime.charge(items.size());
  const auto found =
      std::ranges::find_if(items, [&](const Value& item) { return equal(item, arguments.positional[0]); });
  if (found == items.end())
    fail("{} is not in list", repr(arguments.positional[0]));
  return std::int64_t{found - items.begin()};
}

Value list_count_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (arguments.positional.empty())
    fail("count() takes an argument");
  runtime.charge(self.list().items.size());
  return std::int64_t{std::ranges::count_if(
      self.list().items, [&](const Value& item) { return equal(item, arguments.positional[0]); })};
}

constexpr Named kListMethods[] = {
    {"index", list_index_method}, {"count", list_count_method}, {"copy", copy_method}};

constexpr std::array<std::string_view, 8> kListMutators{"append", "clear",  "extend",  "insert",
                                                        "pop",    "remove", "reverse", "sort"};
constexpr std::array<std::string_view, 5> kDictMutators{"clear", "pop", "popitem", "setdefault", "update"};

template <std::size_t size>
const Named* find_named(const Named (&methods)[size], std::string_view name) {
  const auto* found = std::ranges::find(methods, name, &Named::name);
  return found == std::end(methods) ? nullptr : found;
}

}  // namespace

std::optional<Value> bound_method(const Value& self, std::string_view name) {
  const Named* named = nullptr;
  bool forbidden = false;
  switch (self.kind()) {
    case Kind::String:
      named = find_named(kStringMethods, name);
      break;
    case Kind::Dict:
      named = find_named(kDictMethods, name);
      forbidden = std::ranges::find(kDictMutators, name) != kDictMutators.end();
      break;
    case Kind::List:
      if (!self.list().indexable())
        return std::nullopt;
      named = find_named(kListMethods, name);
      forbidden =
          self.list().kind == ListKind::List && std::ranges::find(kListMutators, name) != kListMutators.end();
      break;
    default:
      return std::nullopt;
  }
  if (forbidden) {
    return Value::undefined(fmt::format("'{}' of a {} is not allowed: templates may not change their data",
                                        name, type_name(self)));
  }
  if (named == nullptr)
    return std::nullopt;
  auto bound = std::make_shared<Function>(
      std::string(name), [self, method = named->method](Runtime& runtime, const Arguments& arguments) {
        return method(runtime, self, arguments);
      });
  bound->depth = self.depth() + 1;
  return Value(std::static_pointer_cast<Object>(std::move(bound)));
}

}  // namespace llmd::text::jinja
