// The tests of `is`.
#include <unordered_map>

#include "text/jinja_runtime.h"
#include "text/jinja_unicode.h"

namespace llmd::text::jinja {
namespace {

const Value& argument(const Arguments& arguments) {
  if (arguments.positional.empty())
    fail("the test needs an argument");
  return arguments.positional[0];
}

template <Kind kind>
bool is_kind(Runtime&, const Value& value, const Arguments&) {
  return value.kind() == kind;
}

template <Kind kind>
bool is_not_kind(Runtime&, const Value& value, const Arguments&) {
  return value.kind() != kind;
}

template <bool wanted>
bool is_bool(Runtime&, const Value& value, const Arguments&) {
  return value.kind() == Kind::Bool && (value.integer() != 0) == wanted;
}

bool is_number(Runtime&, const Value& value, const Arguments&) {
  return value.is_number();
}
bool is_iterable(Runtime&, const Value& value, const Arguments&) {
  return value.is_string() || value.is_list() || value.is_dict() || value.is_undefined();
}
// Undefined has a length but no items: jinja's check for __getitem__ succeeds all the same.
bool is_sequence(Runtime&, const Value& value, const Arguments&) {
  return value.is_string() || value.is_dict() || value.is_undefined() ||
         (value.is_list() && value.list().indexable());
}
bool is_callable(Runtime&, const Value& value, const Arguments&) {
  return value.is_undefined() || (value.object() != nullptr && value.object()->callable());
}

bool is_equal(Runtime&, const Value& value, const Arguments& arguments) {
  return equal(value, argument(arguments));
}
bool is_unequal(Runtime&, const Value& value, const Arguments& arguments) {
  return !equal(value, argument(arguments));
}
bool is_less(Runtime&, const Value& value, const Arguments& arguments) {
  return compare(value, argument(arguments)) < 0;
}
bool is_at_most(Runtime&, const Value& value, const Arguments& arguments) {
  return compare(value, argument(arguments)) <= 0;
}
bool is_greater(Runtime&, const Value& value, const Arguments& arguments) {
  return compare(value, argument(arguments)) > 0;
}
bool is_at_least(Runtime&, const Value& value, const Arguments& arguments) {
  return compare(value, argument(arguments)) >= 0;
}
bool is_in(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return runtime.contains(argument(arguments), value);
}

bool is_odd(Runtime& runtime, const Value& value, const Arguments&) {
  return equal(runtime.binary("%", value, std::int64_t{2}), std::int64_t{1});
}
bool is_even(Runtime& runtime, const Value& value, const Arguments&) {
  return equal(runtime.binary("%", value, std::int64_t{2}), std::int64_t{0});
}
bool is_divisible(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return equal(runtime.binary("%", value, argument(arguments)), std::int64_t{0});
}
bool is_lower(Runtime&, const Value& value, const Arguments&) {
  return all_of_class(to_text(value), 'l');
}
bool is_upper(Runtime&, const Value& value, const Arguments&) {
  return all_of_class(to_text(value), 'u');
}
bool is_same(Runtime&, const Value& value, const Arguments& arguments) {
  return value.kind() == argument(arguments).kind() && equal(value, argument(arguments));
}
bool is_escaped(Runtime&, const Value& value, const Arguments&) {
  return value.is_markup();
}
bool is_filter(Runtime&, const Value& value, const Arguments&) {
  return find_filter(to_text(value)) != nullptr;
}
bool is_test(Runtime&, const Value& value, const Arguments&) {
  return find_test(to_text(value)) != nullptr;
}

}  // namespace

Test find_test(std::string_view name) {
  static const std::unordered_map<std::string_view, Test> kTests{
      {"defined", is_not_kind<Kind::Undefined>},
      {"undefined", is_kind<Kind::Undefined>},
      {"none", is_kind<Kind::None>},
      {"boolean", is_kind<Kind::Bool>},
      {"integer", is_kind<Kind::Int>},
      {"float", is_kind<Kind::Float>},
      {"string", is_kind<Kind::String>},
      {"mapping", is_kind<Kind::Dict>},
      {"true", is_bool<true>},
      {"false", is_bool<false>},
      {"number", is_number},
      {"iterable", is_iterable},
      {"sequence", is_sequence},
      {"callable", is_callable},
      {"equalto", is_equal},
      {"eq", is_equal},
      {"==", is_equal},
      {"ne", is_unequal},
      {"!=", is_unequal},
      {"lt", is_less},
      {"lessthan", is_less},
      {"<", is_less},
      {"le", is_at_most},
      {"<=", is_at_most},
      {"gt", is_greater},
      {"greaterthan", is_greater},
      {">", is_greater},
      {"ge", is_at_least},
      {">=", is_at_least},
      {"in", is_in},
      {"odd", is_odd},
      {"even", is_even},
      {"divisibleby", is_divisible},
      {"lower", is_lower},
      {"upper", is_upper},
      {"sameas", is_same},
      {"escaped", is_escaped},
      {"filter", is_filter},
      {"test", is_test},
  };
  const auto found = kTests.find(name);
  return found == kTests.end() ? nullptr : found->second;
}

}  // namespace llmd::text::jinja
