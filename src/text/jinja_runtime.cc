#include "text/jinja_runtime.h"

#include <algorithm>
#include <cmath>

#include "text/jinja_unicode.h"

namespace llmd::text::jinja {
namespace {

constexpr std::int64_t kMaxRange = 100'000;  // the sandbox's own limit

std::int64_t require_integer(const Value& value, std::string_view what) {
  if (!value.is_integral())
    fail("{} must be an integer, not '{}'", what, type_name(value));
  return value.integer();
}

Value make_range(Runtime& runtime, const Arguments& arguments) {
  std::int64_t start = 0;
  std::int64_t step = 1;
  const auto& given = arguments.positional;
  if (given.empty() || given.size() > 3)
    fail("range takes 1 to 3 arguments");
  if (given.size() >= 2)
    start = require_integer(given[0], "range");
  const auto stop = require_integer(given[given.size() >= 2 ? 1 : 0], "range");
  if (given.size() == 3)
    step = require_integer(given[2], "range");
  if (step == 0)
    fail("range() arg 3 must not be zero");
  const auto span = step > 0 ? static_cast<double>(stop) - static_cast<double>(start)
                             : static_cast<double>(start) - static_cast<double>(stop);
  const auto count = span <= 0 ? 0.0 : std::ceil(span / std::fabs(static_cast<double>(step)));
  if (count > static_cast<double>(kMaxRange))
    fail("range too big: at most {} elements", kMaxRange);
  runtime.charge(static_cast<std::uint64_t>(count));
  std::vector<Value> items;
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(count); ++i)
    items.emplace_back(start + i * step);
  return Value::list(std::move(items));
}

Value make_dict(Runtime& runtime, const Arguments& arguments) {
  Dict dict;
  if (!arguments.positional.empty()) {
    const auto& source = arguments.positional[0];
    if (source.is_dict()) {
      dict = source.dict();
    } else {
      for (const auto& pair : runtime.iterate(source)) {
        auto parts = runtime.iterate(pair);
        if (parts.size() != 2)
          fail("dict() needs pairs");
        dict.set(parts[0], parts[1]);
      }
    }
  }
  for (const auto& [name, value] : arguments.keyword)
    dict.set(name, value);
  return Value::dict(std::move(dict));
}

class Cycler final : public Object, public std::enable_shared_from_this<Cycler> {
 public:
  explicit Cycler(std::vector<Value> items) : items_(std::move(items)) {
    for (const auto& item : items_)
      depth = std::max(depth, item.depth() + 1);
  }
  bool callable() const override { return false; }
  std::string text() const override { return "<Cycler>"; }
  std::optional<Value> attribute(std::string_view name) const override {
    if (name == "current")
      return items_[at_];
    if (name != "next" && name != "reset")
      return std::nullopt;
    const bool advance = name == "next";
    auto method = [self = shared_from_this(), advance](Runtime&, const Arguments&) -> Value {
      if (!advance) {
        self->at_ = 0;
        return None{};
      }
      return self->items_[std::exchange(self->at_, (self->at_ + 1) % self->items_.size())];
    };
    auto result = std::make_shared<Function>(std::string(name), std::move(method));
    result->depth = depth + 1;
    return Value(std::static_pointer_cast<Object>(std::move(result)));
  }

 private:
  std::vector<Value> items_;
  mutable std::size_t at_ = 0;  // next() is reached through a const attribute lookup
};

Value function(std::string_view name, Function::Body body) {
  return Value(
      std::static_pointer_cast<Object>(std::make_shared<Function>(std::string(name), std::move(body))));
}

}  // namespace

Runtime::~Runtime() {
  for (const auto& space : namespaces_)
    space->attributes.clear();
}

void Runtime::charge(std::uint64_t steps) {
  steps_ += steps;
  if (steps_ > options_.max_steps) {
    throw Failure{ErrorKind::ResourceExhausted,
                  fmt::format("the template needs more than {} steps", options_.max_steps)};
  }
}

void Runtime::check_size(std::size_t bytes) const {
  if (bytes > options_.max_output_bytes) {
    throw Failure{ErrorKind::ResourceExhausted,
                  fmt::format("the text is longer than {} bytes", options_.max_output_bytes)};
  }
}

Value Runtime::text(std::string text, bool markup) {
  check_size(text.size());
  charge(text.size() / 128);
  return Value(std::move(text), markup);
}

std::shared_ptr<Namespace> Runtime::make_namespace() {
  charge(1);
  namespaces_.push_back(std::make_shared<Namespace>());
  return namespaces_.back();
}

std::vector<Value> Runtime::iterate(const Value& value) {
  std::vector<Value> items;
  switch (value.kind()) {
    case Kind::Undefined:
      return items;
    case Kind::List:
      items = value.list().items;
      break;
    case Kind::Dict:
      for (const auto& [key, item] : value.dict().entries)
        items.push_back(key);
      break;
    case Kind::String: {
      const std::string_view whole = value.string();
      charge(whole.size());
      for (std::size_t i = 0; i < whole.size();) {
        const auto size = character_size(whole, i);
        items.emplace_back(whole.substr(i, size));
        i += size;
      }
      return items;
    }
    default:
      fail("'{}' object is not iterable", type_name(value));
  }
  charge(items.size());
  return items;
}

std::int64_t Runtime::length(const Value& value) const {
  switch (value.kind()) {
    case Kind::Undefined:
      return 0;
    case Kind::String:
      return character_count(value.string());
    case Kind::Dict:
      return static_cast<std::int64_t>(value.dict().entries.size());
    case Kind::List:
      if (value.list().kind != ListKind::Generator)
        return static_cast<std::int64_t>(value.list().items.size());
      [[fallthrough]];
    default:
      fail("object of type '{}' has no len()", type_name(value));
  }
}

bool Runtime::contains(const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::Undefined:
      return false;
    case Kind::String:
      if (!item.is_string())
        fail("'in <string>' requires string as left operand, not {}", type_name(item));
      charge(container.string().size() / 128);
      return container.string().find(item.string()) != std::string::npos;
    case Kind::Dict:
      return container.dict().find(item) != nullptr;
    case Kind::List:
      charge(container.list().items.size());
      return std::ranges::any_of(container.list().items,
                                 [&](const Value& other) { return equal(item, other); });
    default:
      fail("argument of type '{}' is not iterable", type_name(container));
  }
}

Value Runtime::attribute(const Value& object, std::string_view name) {
  if (object.is_undefined())
    fail("{}", object.undefined_message());
  if (auto* holder = object.object()) {
    if (auto value = holder->attribute(name))
      return *value;
  } else if (auto method = bound_method(object, name)) {
    return *method;
  } else if (object.is_dict()) {
    if (const auto* value = object.dict().find(name))
      return *value;
  }
  return Value::undefined(fmt::format("'{} object' has no attribute '{}'", type_name(object), name));
}

Value Runtime::item(const Value& object, const Value& key) {
  if (object.is_undefined())
    fail("{}", object.undefined_message());
  if (object.is_dict()) {
    if (const auto* value = object.dict().find(key))
      return *value;
  } else if (object.is_list() && object.list().indexable() && key.is_integral()) {
    const auto& items = object.list().items;
    const auto size = static_cast<std::int64_t>(items.size());
    const auto index = key.integer() < 0 ? key.integer() + size : key.integer();
    if (index >= 0 && index < size)
      return items[static_cast<std::size_t>(index)];
  } else if (object.is_string() && key.is_integral()) {
    const std::string_view whole = object.string();
    charge(whole.size() / 64);
    const auto offsets = character_offsets(whole);
    const auto size = static_cast<std::int64_t>(offsets.size()) - 1;
    const auto index = key.integer() < 0 ? key.integer() + size : key.integer();
    if (index >= 0 && index < size) {
      const auto at = static_cast<std::size_t>(index);
      return Value(whole.substr(offsets[at], offsets[at + 1] - offsets[at]));
    }
  }
  if (key.is_string())
    return attribute(object, key.string());
  return Value::undefined(fmt::format("'{} object' has no element {}", type_name(object), repr(key)));
}

Value Runtime::path(const Value& object, const Value& path) {
  if (!path.is_string())
    return item(object, path);
  Value value = object;
  std::string_view rest = path.string();
  for (;;) {
    const auto dot = rest.find('.');
    const auto part = rest.substr(0, dot);
    const bool is_index =
        !part.empty() && std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; });
    value = item(value, is_index && part.size() < 10 ? Value(std::int64_t{std::stoi(std::string(part))})
                                                     : Value(part));
    if (dot == std::string_view::npos)
      return value;
    rest.remove_prefix(dot + 1);
  }
}

Value Runtime::call(const Value& callee, const Arguments& arguments) {
  if (callee.is_undefined())
    fail("{}", callee.undefined_message());
  auto* object = callee.object();
  if (object == nullptr || !object->callable())
    fail("'{}' object is not callable", type_name(callee));
  charge(1);
  return object->call(*this, arguments);
}

Value Runtime::filter(std::string_view name, const Value& value, const Arguments& arguments) {
  const auto known = find_filter(name);
  if (known == nullptr)
    fail("no filter named '{}'", name);
  return known(*this, value, arguments);
}

bool Runtime::test(std::string_view name, const Value& value, const Arguments& arguments) {
  const auto known = find_test(name);
  if (known == nullptr)
    fail("no test named '{}'", name);
  return known(*this, value, arguments);
}

Value Runtime::global(std::string_view name) {
  if (name == "range")
    return function(name, make_range);
  if (name == "dict")
    return function(name, make_dict);
  if (name == "namespace") {
    return function(name, [](Runtime& runtime, const Arguments& arguments) {
      auto space = runtime.make_namespace();
      const auto initial = make_dict(runtime, arguments);
      for (const auto& [key, value] : initial.dict().entries)
        space->attributes.insert_or_assign(to_text(key), value);
      return Value(std::static_pointer_cast<Object>(std::move(space)));
    });
  }
  if (name == "raise_exception") {
    return function(name, [](Runtime&, const Arguments& arguments) -> Value {
      const auto* message = arguments.get(0, "message");
      fail("{}", message != nullptr ? to_text(*message) : "the template raised an exception");
    });
  }
  if (name == "strftime_now") {
    return function(name, [](Runtime& runtime, const Arguments& arguments) {
      const auto* clock = runtime.options().clock;
      return runtime.text(strftime_now(clock != nullptr ? *clock : system_clock(),
                                       string_argument(arguments, 0, "format", "")));
    });
  }
  if (name == "cycler") {
    return function(name, [](Runtime&, const Arguments& arguments) {
      if (arguments.positional.empty())
        fail("cycler() needs at least one item");
      return Value(std::static_pointer_cast<Object>(std::make_shared<Cycler>(arguments.positional)));
    });
  }
  if (name == "joiner") {
    return function(name, [](Runtime&, const Arguments& arguments) {
      auto separator = string_argument(arguments, 0, "sep", ", ");
      auto used = std::make_shared<bool>(false);
      return function("joiner", [separator, used](Runtime&, const Arguments&) -> Value {
        return std::exchange(*used, true) ? Value(separator) : Value("");
      });
    });
  }
  return Value::undefined(fmt::format("'{}' is undefined", name));
}

Filter find_filter(std::string_view name) {
  const auto text = find_text_filter(name);
  return text != nullptr ? text : find_sequence_filter(name);
}

std::int64_t integer_argument(const Arguments& arguments, std::size_t position, std::string_view name,
                              std::int64_t fallback) {
  const auto* value = arguments.get(position, name);
  return value == nullptr || value->is_none() ? fallback : require_integer(*value, name);
}

std::string string_argument(const Arguments& arguments, std::size_t position, std::string_view name,
                            std::string_view fallback) {
  const auto* value = arguments.get(position, name);
  return value == nullptr || value->is_none() ? std::string(fallback) : to_text(*value);
}

bool bool_argument(const Arguments& arguments, std::size_t position, std::string_view name, bool fallback) {
  const auto* value = arguments.get(position, name);
  return value == nullptr ? fallback : truthy(*value);
}

}  // namespace llmd::text::jinja
