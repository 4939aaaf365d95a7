// Arithmetic and slices with Python's rules; 64-bit integers, overflow is an error.
#include <algorithm>
#include <cmath>

#include "text/jinja_runtime.h"
#include "text/jinja_unicode.h"

namespace llmd::text::jinja {
namespace {

[[noreturn]] void unsupported(std::string_view operation, const Value& a, const Value& b) {
  if (a.is_undefined())
    fail("{}", a.undefined_message());
  if (b.is_undefined())
    fail("{}", b.undefined_message());
  fail("unsupported operand type(s) for {}: '{}' and '{}'", operation, type_name(a), type_name(b));
}

Value add(Runtime& runtime, const Value& a, const Value& b) {
  if (a.is_string() && b.is_string()) {
    runtime.check_size(a.string().size() + b.string().size());
    if (!a.is_markup() && !b.is_markup())
      return runtime.text(a.string() + b.string());
    return runtime.text((a.is_markup() ? a.string() : html_escaped(a.string())) +
                            (b.is_markup() ? b.string() : html_escaped(b.string())),
                        true);
  }
  if (a.is_list() && b.is_list() && a.list().kind == b.list().kind && a.list().indexable()) {
    runtime.charge(a.list().items.size() + b.list().items.size());
    auto items = a.list().items;
    items.insert(items.end(), b.list().items.begin(), b.list().items.end());
    return Value::list(std::move(items), a.list().kind);
  }
  unsupported("+", a, b);
}

Value repeat(Runtime& runtime, const Value& a, const Value& b) {
  const auto& whole = a.is_integral() ? b : a;
  const auto& times = a.is_integral() ? a : b;
  if (!times.is_integral())
    unsupported("*", a, b);
  const auto count = static_cast<std::size_t>(std::max<std::int64_t>(0, times.integer()));
  if (whole.is_string()) {
    if (!whole.string().empty())
      runtime.check_size(count > (std::size_t{1} << 40) ? count : whole.string().size() * count);
    std::string text;
    for (std::size_t i = 0; i < count && !whole.string().empty(); ++i)
      text += whole.string();
    return runtime.text(std::move(text), whole.is_markup());
  }
  if (!whole.is_list() || !whole.list().indexable())
    unsupported("*", a, b);
  const auto& items = whole.list().items;
  std::vector<Value> result;
  for (std::size_t i = 0; i < count && !items.empty(); ++i) {
    runtime.charge(items.size());
    result.insert(result.end(), items.begin(), items.end());
  }
  return Value::list(std::move(result), whole.list().kind);
}

Value power(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0)
    return std::pow(static_cast<double>(base), static_cast<double>(exponent));
  std::int64_t result = 1;
  for (std::int64_t i = 0; i < exponent && result != 0 && !(i > 0 && (base == 1)); ++i) {
    if (base == -1)
      return std::int64_t{exponent % 2 == 0 ? 1 : -1};
    if (__builtin_mul_overflow(result, base, &result))
      fail("integer overflow in **");
  }
  return result;
}

Value integer_operation(std::string_view operation, std::int64_t x, std::int64_t y) {
  std::int64_t result = 0;
  bool overflow = false;
  if (operation == "+") {
    overflow = __builtin_add_overflow(x, y, &result);
  } else if (operation == "-") {
    overflow = __builtin_sub_overflow(x, y, &result);
  } else if (operation == "*") {
    overflow = __builtin_mul_overflow(x, y, &result);
  } else if (operation == "**") {
    return power(x, y);
  } else {
    if (y == 0)
      fail("division by zero");
    if (operation == "/")
      return static_cast<double>(x) / static_cast<double>(y);
    if (y == -1)
      return integer_operation("*", operation == "%" ? 0 : x, -1);
    const auto remainder = x % y;
    const bool adjust = remainder != 0 && (remainder < 0) != (y < 0);
    result = operation == "%" ? remainder + (adjust ? y : 0) : x / y - (adjust ? 1 : 0);
  }
  if (overflow)
    fail("integer overflow in {}", operation);
  return result;
}

Value float_operation(std::string_view operation, double x, double y) {
  if (operation == "+")
    return x + y;
  if (operation == "-")
    return x - y;
  if (operation == "*")
    return x * y;
  if (operation == "**")
    return std::pow(x, y);
  if (y == 0)
    fail("float division by zero");
  if (operation == "/")
    return x / y;
  if (operation == "//")
    return std::floor(x / y);
  const double remainder = std::fmod(x, y);
  return remainder != 0 && (remainder < 0) != (y < 0) ? remainder + y : remainder;
}

std::int64_t bound(const Value& value, std::int64_t fallback, std::int64_t size, std::int64_t low,
                   std::int64_t high) {
  if (value.is_none())
    return fallback;
  if (!value.is_integral())
    fail("slice indices must be integers or None, not '{}'", type_name(value));
  const auto index = value.integer() < 0 ? value.integer() + size : value.integer();
  return std::clamp(index, low, high);
}

}  // namespace

Value Runtime::binary(std::string_view operation, const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral())
    return integer_operation(operation, a.integer(), b.integer());
  if (a.is_number() && b.is_number())
    return float_operation(operation, a.number(), b.number());
  if (operation == "+")
    return add(*this, a, b);
  if (operation == "*")
    return repeat(*this, a, b);
  if (operation == "%" && a.is_string())
    return text(percent_format(a.string(), b));
  unsupported(operation, a, b);
}

Value Runtime::slice(const Value& object, const Value& start, const Value& stop, const Value& step) {
  if (object.is_undefined())
    fail("{}", object.undefined_message());
  const bool is_text = object.is_string();
  if (!is_text && !(object.is_list() && object.list().indexable())) {
    return Value::undefined(fmt::format("'{}' object cannot be sliced", type_name(object)));
  }
  const auto offsets = is_text ? character_offsets(object.string()) : std::vector<std::size_t>{};
  const auto size = static_cast<std::int64_t>(is_text ? offsets.size() - 1 : object.list().items.size());
  charge(static_cast<std::uint64_t>(size) / (is_text ? 64 : 1));
  const auto stride = step.is_none() ? 1 : bound(step, 1, 0, -size - 1, size + 1);
  if (stride == 0)
    fail("slice step cannot be zero");
  const bool forward = stride > 0;
  const auto low = forward ? 0 : -1;
  const auto high = forward ? size : size - 1;
  const auto begin = bound(start, forward ? 0 : size - 1, size, low, high);
  const auto end = bound(stop, forward ? size : -1, size, low, high);
  if (is_text && stride == 1) {
    const auto from = offsets[static_cast<std::size_t>(begin)];
    const auto to = offsets[static_cast<std::size_t>(std::max(begin, end))];
    return text(object.string().substr(from, to - from), object.is_markup());
  }
  std::string characters;
  std::vector<Value> items;
  for (auto i = begin; forward ? i < end : i > end; i += stride) {
    const auto at = static_cast<std::size_t>(i);
    if (is_text) {
      characters += object.string().substr(offsets[at], offsets[at + 1] - offsets[at]);
    } else {
      items.push_back(object.list().items[at]);
    }
  }
  return is_text ? text(std::move(characters), object.is_markup())
                 : Value::list(std::move(items), object.list().kind);
}

}  // namespace llmd::text::jinja
