// Filters whose subject is a sequence or a mapping.
#include <algorithm>
#include <list>
#include <unordered_map>

#include "base/strings.h"
#include "text/jinja_runtime.h"
#include "text/jinja_unicode.h"

namespace llmd::text::jinja {
namespace {

Value generator(std::vector<Value> items) {
  return Value::list(std::move(items), ListKind::Generator);
}

Value first_filter(Runtime& runtime, const Value& value, const Arguments&) {
  const auto items = runtime.iterate(value);
  return items.empty() ? Value::undefined("No first item, sequence was empty.") : items.front();
}

Value last_filter(Runtime& runtime, const Value& value, const Arguments&) {
  if (value.is_list() && value.list().kind == ListKind::Generator)
    fail("'generator' object is not reversible");
  const auto items = runtime.iterate(value);
  return items.empty() ? Value::undefined("No last item, sequence was empty.") : items.back();
}

Value list_filter(Runtime& runtime, const Value& value, const Arguments&) {
  return Value::list(runtime.iterate(value));
}

Value join_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto separator = string_argument(arguments, 0, "d", "");
  const auto* attribute = arguments.get(1, "attribute");
  std::string out;
  bool first = true;
  for (const auto& item : runtime.iterate(value)) {
    if (!std::exchange(first, false))
      out += separator;
    out += to_text(attribute != nullptr ? runtime.path(item, *attribute) : item);
    runtime.check_size(out.size());
  }
  return runtime.text(std::move(out));
}

Value items_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  if (value.is_undefined())
    return generator({});
  if (!value.is_dict())
    fail("Can only get item pairs from a mapping.");
  const auto view = runtime.call(*bound_method(value, "items"), arguments);
  return generator(view.list().items);
}

// What sorting compares: texts without regard to case unless asked otherwise.
Value sort_key(const Value& value, bool case_sensitive) {
  if (case_sensitive || !value.is_string())
    return value;
  return Value(lower(value.string()));
}

std::vector<Value> sorted(Runtime& runtime, std::vector<Value> items, const std::vector<Value>& keys,
                          bool reverse) {
  std::list<std::size_t> order;  // its sort is stable and survives orders that contradict themselves (NaN)
  for (std::size_t i = 0; i < items.size(); ++i)
    order.push_back(i);
  const auto before = [&](std::size_t a, std::size_t b) {
    runtime.charge(1);
    return reverse ? compare(keys[b], keys[a]) < 0 : compare(keys[a], keys[b]) < 0;
  };
  order.sort(before);
  std::vector<Value> result;
  for (const auto i : order)
    result.push_back(std::move(items[i]));
  return result;
}

Value dictsort_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  if (!value.is_dict())
    fail("dictsort needs a mapping, not '{}'", type_name(value));
  const bool case_sensitive = bool_argument(arguments, 0, "case_sensitive", false);
  const auto by = string_argument(arguments, 1, "by", "key");
  if (by != "key" && by != "value")
    fail("You can only sort by either \"key\" or \"value\"");
  std::vector<Value> items;
  std::vector<Value> keys;
  for (const auto& [key, item] : value.dict().entries) {
    items.push_back(Value::list({key, item}, ListKind::Tuple));
    keys.push_back(sort_key(by == "key" ? key : item, case_sensitive));
  }
  return Value::list(sorted(runtime, std::move(items), keys, bool_argument(arguments, 2, "reverse", false)));
}

// The key of sort(attribute="a,b.c"): one part, or a list of them.
Value attribute_key(Runtime& runtime, const Value& item, const Value& attribute, bool case_sensitive) {
  if (!attribute.is_string() || attribute.string().find(',') == std::string::npos) {
    return sort_key(runtime.path(item, attribute), case_sensitive);
  }
  std::vector<Value> parts;
  for (const auto part : split(attribute.string(), ',')) {
    parts.push_back(sort_key(runtime.path(item, Value(part)), case_sensitive));
  }
  return Value::list(std::move(parts));
}

Value sort_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const bool reverse = bool_argument(arguments, 0, "reverse", false);
  const bool case_sensitive = bool_argument(arguments, 1, "case_sensitive", false);
  const auto* attribute = arguments.get(2, "attribute");
  auto items = runtime.iterate(value);
  std::vector<Value> keys;
  for (const auto& item : items) {
    keys.push_back(attribute != nullptr ? attribute_key(runtime, item, *attribute, case_sensitive)
                                        : sort_key(item, case_sensitive));
  }
  return Value::list(sorted(runtime, std::move(items), keys, reverse));
}

Value reverse_filter(Runtime& runtime, const Value& value, const Arguments&) {
  auto items = runtime.iterate(value);
  std::ranges::reverse(items);
  if (!value.is_string())
    return generator(std::move(items));
  std::string out;
  for (const auto& item : items)
    out += item.string();
  return runtime.text(std::move(out));
}

Value unique_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const bool case_sensitive = bool_argument(arguments, 0, "case_sensitive", false);
  const auto* attribute = arguments.get(1, "attribute");
  std::vector<Value> seen;
  std::vector<Value> items;
  for (const auto& item : runtime.iterate(value)) {
    auto key = sort_key(attribute != nullptr ? runtime.path(item, *attribute) : item, case_sensitive);
    runtime.charge(seen.size());
    if (std::ranges::any_of(seen, [&](const Value& other) { return equal(other, key); }))
      continue;
    seen.push_back(std::move(key));
    items.push_back(item);
  }
  return generator(std::move(items));
}

// map('upper'), map(attribute='a', default=x)
Value map_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  if (!truthy(value)) {
    return generator({});  // nothing at all, so that none passes too
  }
  std::vector<Value> result;
  const auto* attribute = arguments.find("attribute");
  if (arguments.positional.empty() && attribute == nullptr)
    fail("map requires a filter argument");
  const auto* fallback = arguments.find("default");
  Arguments rest = arguments;
  if (!rest.positional.empty())
    rest.positional.erase(rest.positional.begin());
  for (const auto& item : runtime.iterate(value)) {
    runtime.charge(1);
    if (arguments.positional.empty()) {
      auto part = runtime.path(item, *attribute);
      result.push_back(part.is_undefined() && fallback != nullptr ? *fallback : std::move(part));
    } else {
      result.push_back(runtime.filter(to_text(arguments.positional[0]), item, rest));
    }
  }
  return generator(std::move(result));
}

template <bool keep, bool by_attribute>
Value select_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  if (!truthy(value)) {
    return generator({});
  }
  const std::size_t used = by_attribute ? 1 : 0;
  if (arguments.positional.size() < used)
    fail("selectattr and rejectattr need an attribute");
  const auto* name = arguments.positional.size() > used ? &arguments.positional[used] : nullptr;
  Arguments rest = arguments;
  const auto drop = std::min(arguments.positional.size(), used + 1);
  rest.positional.erase(rest.positional.begin(), rest.positional.begin() + static_cast<std::ptrdiff_t>(drop));
  std::vector<Value> result;
  for (const auto& item : runtime.iterate(value)) {
    runtime.charge(1);
    const auto subject = by_attribute ? runtime.path(item, arguments.positional[0]) : item;
    const bool passes = name != nullptr ? runtime.test(to_text(*name), subject, rest) : truthy(subject);
    if (passes == keep)
      result.push_back(item);
  }
  return generator(std::move(result));
}

template <int direction>
Value extreme_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const bool case_sensitive = bool_argument(arguments, 0, "case_sensitive", false);
  const auto* attribute = arguments.get(1, "attribute");
  const auto items = runtime.iterate(value);
  if (items.empty())
    return Value::undefined("No aggregated item, sequence was empty.");
  const auto key = [&](const Value& item) {
    return sort_key(attribute != nullptr ? runtime.path(item, *attribute) : item, case_sensitive);
  };
  const Value* best = &items[0];
  for (const auto& item : items) {
    if (compare(key(item), key(*best)) * direction > 0)
      best = &item;
  }
  return *best;
}

Value sum_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto* attribute = arguments.get(0, "attribute");
  const auto* start = arguments.get(1, "start");
  Value total = start != nullptr ? *start : Value(std::int64_t{0});
  const bool by_attribute = attribute != nullptr && !attribute->is_none();
  for (const auto& item : runtime.iterate(value)) {
    total = runtime.binary("+", total, by_attribute ? runtime.path(item, *attribute) : item);
  }
  return total;
}

Value batch_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto size = integer_argument(arguments, 0, "linecount", 0);
  const auto* fill = arguments.get(1, "fill_with");
  if (size < 1)
    fail("batch needs a size of at least 1");
  std::vector<Value> result;
  std::vector<Value> line;
  for (auto& item : runtime.iterate(value)) {
    line.push_back(std::move(item));
    if (static_cast<std::int64_t>(line.size()) == size)
      result.push_back(Value::list(std::exchange(line, {})));
  }
  if (!line.empty()) {
    if (fill != nullptr && !fill->is_none()) {
      runtime.charge(static_cast<std::uint64_t>(size));
      line.resize(static_cast<std::size_t>(size), *fill);
    }
    result.push_back(Value::list(std::move(line)));
  }
  return generator(std::move(result));
}

Value slice_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto slices = integer_argument(arguments, 0, "slices", 0);
  const auto* fill = arguments.get(1, "fill_with");
  if (slices < 1)
    fail("slice needs at least 1 slice");
  runtime.charge(static_cast<std::uint64_t>(slices));
  const auto items = runtime.iterate(value);
  const auto per_slice = items.size() / static_cast<std::size_t>(slices);
  const auto extra = items.size() % static_cast<std::size_t>(slices);
  std::vector<Value> result;
  std::size_t at = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(slices); ++i) {
    const auto size = per_slice + (i < extra ? 1 : 0);
    std::vector<Value> part(items.begin() + static_cast<std::ptrdiff_t>(at),
                            items.begin() + static_cast<std::ptrdiff_t>(at + size));
    if (fill != nullptr && !fill->is_none() && i >= extra && extra > 0)
      part.push_back(*fill);
    result.push_back(Value::list(std::move(part)));
    at += size;
  }
  return generator(std::move(result));
}

// (grouper, list) pairs, sorted by the attribute.
Value groupby_filter(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto* attribute = arguments.get(0, "attribute");
  const auto* fallback = arguments.get(1, "default");
  if (attribute == nullptr)
    fail("groupby needs an attribute");
  auto items = runtime.iterate(value);
  std::vector<Value> keys;
  for (const auto& item : items) {
    auto part = runtime.path(item, *attribute);
    if (part.is_undefined() && fallback != nullptr)
      part = *fallback;
    keys.push_back(sort_key(part, bool_argument(arguments, 2, "case_sensitive", false)));
  }
  auto ordered_keys = sorted(runtime, keys, keys, false);
  auto ordered = sorted(runtime, std::move(items), keys, false);
  std::vector<Value> groups;
  for (std::size_t i = 0; i < ordered.size();) {
    std::vector<Value> members;
    const auto begin = i;
    for (; i < ordered.size() && equal(ordered_keys[i], ordered_keys[begin]); ++i)
      members.push_back(ordered[i]);
    auto part = runtime.path(members[0], *attribute);
    groups.push_back(Value::list(
        {part.is_undefined() ? ordered_keys[begin] : std::move(part), Value::list(std::move(members))},
        ListKind::Tuple));
  }
  return Value::list(std::move(groups));
}

}  // namespace

Filter find_sequence_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, Filter> kFilters{
      {"first", first_filter},
      {"last", last_filter},
      {"list", list_filter},
      {"join", join_filter},
      {"items", items_filter},
      {"dictsort", dictsort_filter},
      {"sort", sort_filter},
      {"reverse", reverse_filter},
      {"unique", unique_filter},
      {"map", map_filter},
      {"select", select_filter<true, false>},
      {"reject", select_filter<false, false>},
      {"selectattr", select_filter<true, true>},
      {"rejectattr", select_filter<false, true>},
      {"min", extreme_filter<-1>},
      {"max", extreme_filter<1>},
      {"sum", sum_filter},
      {"batch", batch_filter},
      {"slice", slice_filter},
      {"groupby", groupby_filter},
  };
  const auto found = kFilters.find(name);
  return found == kFilters.end() ? nullptr : found->second;
}

}  // namespace llmd::text::jinja
