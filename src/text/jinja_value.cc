#include "text/jinja_value.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cmath>

#include "text/jinja_unicode.h"

namespace llmd::text::jinja {
namespace {

constexpr std::size_t kIndexFrom = 16;  // entries; below it a linear search is faster

int checked_depth(int depth) {
  if (depth > kMaxValueDepth) {
    throw Failure{ErrorKind::ResourceExhausted, fmt::format("values nested deeper than {}", kMaxValueDepth)};
  }
  return depth;
}

}  // namespace

Value Value::undefined(std::string message) {
  Value value;
  value.data_ = Undefined{std::make_shared<const std::string>(std::move(message))};
  return value;
}

Value Value::list(std::vector<Value> items) {
  return list(std::move(items), ListKind::List);
}

Value Value::list(std::vector<Value> items, ListKind kind) {
  auto list = std::make_shared<List>();
  for (const auto& item : items) {
    list->depth = checked_depth(std::max(list->depth, item.depth() + 1));
  }
  list->items = std::move(items);
  list->kind = kind;
  return Value(std::shared_ptr<const List>(std::move(list)));
}

Value Value::dict(Dict dict) {
  return Value(std::make_shared<const Dict>(std::move(dict)));
}

std::int64_t Value::integer() const {
  return kind() == Kind::Bool ? std::int64_t{std::get<bool>(data_)} : std::get<std::int64_t>(data_);
}

double Value::number() const {
  return kind() == Kind::Float ? std::get<double>(data_) : static_cast<double>(integer());
}

int Value::depth() const {
  switch (kind()) {
    case Kind::List:
      return list().depth;
    case Kind::Dict:
      return dict().depth;
    case Kind::Object:
      return object()->depth;
    default:
      return 0;
  }
}

std::string Value::undefined_message() const {
  const auto& message = std::get<Undefined>(data_).message;
  return message ? *message : "the value is undefined";
}

const Value* Dict::find(std::string_view key) const {
  if (!index_.empty()) {
    const auto found = index_.find(std::string(key));
    return found == index_.end() ? nullptr : &entries[found->second].second;
  }
  for (const auto& [name, value] : entries) {
    if (name.is_string() && name.string() == key)
      return &value;
  }
  return nullptr;
}

const Value* Dict::find(const Value& key) const {
  if (key.is_string())
    return find(std::string_view(key.string()));
  for (const auto& [name, value] : entries) {
    if (!name.is_string() && equal(name, key))
      return &value;
  }
  return nullptr;
}

void Dict::set(Value key, Value value) {
  if (key.is_dict() || (key.is_list() && key.list().kind != ListKind::Tuple))
    fail("unhashable type: '{}'", type_name(key));
  depth = checked_depth(std::max({depth, key.depth() + 1, value.depth() + 1}));
  if (const auto* known = find(key)) {
    *const_cast<Value*>(known) = std::move(value);  // an entry of this very object, found by a const search
    return;
  }
  entries.emplace_back(std::move(key), std::move(value));
  if (entries.size() < kIndexFrom)
    return;
  if (index_.empty()) {
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (entries[i].first.is_string())
        index_.emplace(entries[i].first.string(), i);
    }
  } else if (entries.back().first.is_string()) {
    index_.emplace(entries.back().first.string(), entries.size() - 1);
  }
}

const Value* Arguments::find(std::string_view name) const {
  const auto found =
      std::ranges::find(keyword, name, [](const auto& pair) -> std::string_view { return pair.first; });
  return found == keyword.end() ? nullptr : &found->second;
}

const Value* Arguments::get(std::size_t position, std::string_view name) const {
  return position < positional.size() ? &positional[position] : find(name);
}

std::optional<Value> Object::attribute(std::string_view) const {
  return std::nullopt;
}
Value Object::call(Runtime&, const Arguments&) {
  fail("{} is not callable", text());
}

std::optional<Value> Namespace::attribute(std::string_view name) const {
  const auto found = attributes.find(name);
  if (found == attributes.end())
    return std::nullopt;
  return found->second;
}

bool truthy(const Value& value) {
  switch (value.kind()) {
    case Kind::Undefined:
    case Kind::None:
      return false;
    case Kind::Bool:
    case Kind::Int:
      return value.integer() != 0;
    case Kind::Float:
      return value.number() != 0;
    case Kind::String:
      return !value.string().empty();
    case Kind::List:
      return value.list().kind == ListKind::Generator || !value.list().items.empty();
    case Kind::Dict:
      return !value.dict().entries.empty();
    case Kind::Object:
      return true;
  }
  return false;
}

bool equal(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral())
    return a.integer() == b.integer();
  if (a.is_number() && b.is_number())
    return a.number() == b.number();
  if (a.kind() != b.kind())
    return false;
  switch (a.kind()) {
    case Kind::String:
      return a.string() == b.string();
    case Kind::List:
      return a.list().kind == b.list().kind && std::ranges::equal(a.list().items, b.list().items, equal);
    case Kind::Dict:
      return a.dict().entries.size() == b.dict().entries.size() &&
             std::ranges::all_of(a.dict().entries, [&](const auto& entry) {
               const auto* other = b.dict().find(entry.first);
               return other != nullptr && equal(entry.second, *other);
             });
    case Kind::Object:
      return a.object() == b.object();
    default:
      return true;  // none and undefined equal themselves
  }
}

int compare(const Value& a, const Value& b) {
  const auto order = [](const auto& x, const auto& y) { return x < y ? -1 : (y < x ? 1 : 0); };
  if (a.is_undefined())
    fail("{}", a.undefined_message());
  if (b.is_undefined())
    fail("{}", b.undefined_message());
  if (a.is_integral() && b.is_integral())
    return order(a.integer(), b.integer());
  if (a.is_number() && b.is_number())
    return order(a.number(), b.number());
  if (a.is_string() && b.is_string())
    return order(a.string(), b.string());  // UTF-8 keeps code point order
  if (a.is_list() && b.is_list() && a.list().kind == b.list().kind) {
    const auto& x = a.list().items;
    const auto& y = b.list().items;
    for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      if (!equal(x[i], y[i]))
        return compare(x[i], y[i]);
    }
    return order(x.size(), y.size());
  }
  fail("'<' not supported between instances of '{}' and '{}'", type_name(a), type_name(b));
}

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::Undefined:
      return "Undefined";
    case Kind::None:
      return "NoneType";
    case Kind::Bool:
      return "bool";
    case Kind::Int:
      return "int";
    case Kind::Float:
      return "float";
    case Kind::String:
      return "str";
    case Kind::List: {
      static constexpr std::string_view kNames[] = {"list", "tuple", "generator", "dict view"};
      return kNames[static_cast<int>(value.list().kind)];
    }
    case Kind::Dict:
      return "dict";
    case Kind::Object:
      return "object";
  }
  return "object";
}

std::string float_text(double value) {
  if (std::isnan(value))
    return "nan";
  if (std::isinf(value))
    return value < 0 ? "-inf" : "inf";
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  const std::string_view scientific(buffer, static_cast<std::size_t>(end - buffer));
  const auto e = scientific.find('e');
  int exponent = 0;
  const bool plus = scientific[e + 1] == '+';
  std::from_chars(scientific.data() + e + (plus ? 2 : 1), end, exponent);
  if (exponent < -4 || exponent >= 16) {
    return fmt::format("{}e{}{:02}", scientific.substr(0, e), exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  char fixed[400];
  const auto stop = std::to_chars(fixed, fixed + sizeof fixed, value, std::chars_format::fixed).ptr;
  std::string text(fixed, stop);
  return text.find('.') == std::string::npos ? text + ".0" : text;
}

std::string repr(const Value& value) {
  switch (value.kind()) {
    case Kind::Undefined:
      return "Undefined";
    case Kind::String:
      return value.is_markup() ? "Markup(" + quoted(value.string()) + ")" : quoted(value.string());
    case Kind::List: {
      const auto& list = value.list();
      if (list.kind == ListKind::Generator)
        return "<generator object>";
      const bool tuple = list.kind == ListKind::Tuple;
      std::string text = list.kind == ListKind::View ? "dict_view([" : (tuple ? "(" : "[");
      for (std::size_t i = 0; i < list.items.size(); ++i) {
        if (i > 0)
          text += ", ";
        text += repr(list.items[i]);
      }
      if (tuple && list.items.size() == 1)
        text += ',';
      return text + (list.kind == ListKind::View ? "])" : (tuple ? ")" : "]"));
    }
    case Kind::Dict: {
      std::string text = "{";
      for (const auto& [key, item] : value.dict().entries) {
        if (text.size() > 1)
          text += ", ";
        text += repr(key) + ": " + repr(item);
      }
      return text + "}";
    }
    default:
      return to_text(value);
  }
}

std::string to_text(const Value& value) {
  switch (value.kind()) {
    case Kind::Undefined:
      return "";
    case Kind::None:
      return "None";
    case Kind::Bool:
      return value.integer() != 0 ? "True" : "False";
    case Kind::Int:
      return std::to_string(value.integer());
    case Kind::Float:
      return float_text(value.number());
    case Kind::String:
      return value.string();
    case Kind::Object:
      return value.object()->text();
    default:
      return repr(value);
  }
}

Value from_json(const boost::json::object& json) {
  Dict dict;
  dict.entries.reserve(json.size());
  for (const auto& [key, item] : json) {
    dict.set(Value(std::string_view(key.data(), key.size())), from_json(item));
  }
  return Value::dict(std::move(dict));
}

Value from_json(const boost::json::value& json) {
  switch (json.kind()) {
    case boost::json::kind::null:
      return None{};
    case boost::json::kind::bool_:
      return json.get_bool();
    case boost::json::kind::int64:
      return json.get_int64();
    case boost::json::kind::uint64:
      return static_cast<double>(json.get_uint64());
    case boost::json::kind::double_:
      return json.get_double();
    case boost::json::kind::string:
      return std::string_view(json.get_string().data(), json.get_string().size());
    case boost::json::kind::array: {
      std::vector<Value> items;
      items.reserve(json.get_array().size());
      for (const auto& item : json.get_array())
        items.push_back(from_json(item));
      return Value::list(std::move(items));
    }
    case boost::json::kind::object:
      return from_json(json.get_object());
  }
  return None{};
}

Value parse_json(std::string_view text) {
  boost::system::error_code error;
  const auto json = boost::json::parse(boost::json::string_view(text.data(), text.size()), error);
  if (error)
    fail("not JSON: {}", error.message());
  return from_json(json);
}

}  // namespace llmd::text::jinja
