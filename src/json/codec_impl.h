// The machinery behind codec.h; include that one.
//
// A described struct becomes a table of fields with function pointers, so that the loops over members, the
// search for unknown fields and all messages are compiled once, in codec.cc, and a type costs little more
// than its table.
#pragma once

#include "json/codec.h"

namespace llmd::json::detail {

struct Field {
  std::string_view name;
  void (*decode)(const Value&, void* object, Report&);
  // Returns false when the member is left out.
  bool (*encode)(const void* object, const EncodeOptions&, Value& out);
};

struct EnumName {
  std::string_view name;
  long long value;
};

bool decode_fields(const Value& value, void* object, std::span<const Field> fields, Report& report);
Value encode_fields(const void* object, std::span<const Field> fields, const EncodeOptions& options);
std::optional<long long> decode_enum(const Value& value, std::span<const EnumName> names, Report& report);
Value encode_enum(long long value, std::span<const EnumName> names);
std::optional<long long> decode_integer(const Value& value, long long low, unsigned long long high,
                                        Report& report);
std::optional<double> decode_number(const Value& value, Report& report);
void decode_string(const Value& value, std::string& into, Report& report);
void decode_bool(const Value& value, bool& into, Report& report);
void decode_duration(const Value& value, Duration& into, Report& report);
std::string duration_text(Duration duration);  // 1m30s, as Go writes it
bool is_empty(const Value& value);             // "", [] or {}

inline Value string_value(std::string_view text) {
  return Value(boost::json::string_view(text.data(), text.size()));
}

constexpr std::string_view without_underscore(std::string_view name) {
  return name.ends_with('_') ? name.substr(0, name.size() - 1) : name;
}

template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};
template <typename T>
struct IsMap : std::false_type {};
template <typename T, typename Less>
struct IsMap<std::map<std::string, T, Less>> : std::true_type {};

template <typename T>
concept Custom = requires(const Value& value, T& into, const T& from, Report& report) {
  json_decode(value, into, report);
  { json_encode(from) } -> std::convertible_to<Value>;
};
template <typename T>
concept Raw = std::same_as<T, Value> || std::same_as<T, Object> || std::same_as<T, Array>;
template <typename T>
concept DescribedStruct = std::is_class_v<T> && boost::describe::has_describe_members<T>::value;
template <typename T>
concept DescribedEnum = std::is_enum_v<T> && boost::describe::has_describe_enumerators<T>::value;

template <typename T>
void decode_value(const Value& value, T& into, Report& report);
template <typename T>
Value encode_value(const T& value, const EncodeOptions& options);

template <typename T, typename Member>
Field make_field() {
  std::string_view name = without_underscore(Member::name);
  if constexpr (requires { wire_name(static_cast<const T*>(nullptr), std::string_view()); }) {
    name = wire_name(static_cast<const T*>(nullptr), Member::name);
  }
  return {name,
          [](const Value& value, void* object, Report& report) {
            decode_value(value, static_cast<T*>(object)->*Member::pointer, report);
          },
          [](const void* object, const EncodeOptions& options, Value& out) {
            const auto& member = static_cast<const T*>(object)->*Member::pointer;
            using M = std::remove_cvref_t<decltype(member)>;
            if constexpr (IsOptional<M>::value) {
              if (!member) {
                return false;
              }
            }
            out = encode_value(member, options);
            return !options.omit_empty || IsOptional<M>::value || !is_empty(out);
          }};
}

template <typename T, template <typename...> typename List, typename... Members>
const auto& field_table(List<Members...>) {
  static const std::array<Field, sizeof...(Members)> table{make_field<T, Members>()...};
  return table;
}

template <typename T>
std::span<const Field> fields_of() {
  namespace describe = boost::describe;
  return field_table<T>(describe::describe_members < T, describe::mod_public | describe::mod_inherited > {});
}

template <typename E, template <typename...> typename List, typename... Enumerators>
const auto& enum_table(List<Enumerators...>) {
  const auto name_of = [](E value, std::string_view name) -> std::string_view {
    if constexpr (requires { wire_name(value); }) {
      return wire_name(value);
    } else {
      return without_underscore(name);
    }
  };
  static const std::array<EnumName, sizeof...(Enumerators)> table{EnumName{
      name_of(Enumerators::value, Enumerators::name), static_cast<long long>(Enumerators::value)}...};
  return table;
}

template <typename E>
std::span<const EnumName> names_of() {
  return enum_table<E>(boost::describe::describe_enumerators<E>{});
}

template <typename T>
void decode_struct(const Value& value, T& into, Report& report) {
  const std::size_t before = report.mistakes().size();
  if (!decode_fields(value, &into, fields_of<T>(), report)) {
    return;
  }
  if constexpr (requires { validate(into, report); }) {
    // Only on what was read completely: a bound on a member that has the wrong type would be noise.
    if (report.mistakes().size() == before) {
      validate(into, report);
    }
  }
}

template <typename T>
void decode_list(const Value& value, T& into, Report& report) {
  const Array* array = value.if_array();
  if (!array) {
    return report.expected("a list", value);
  }
  into.clear();
  into.reserve(array->size());
  for (std::size_t i = 0; i < array->size(); ++i) {
    const Report::Step step(report, i);
    typename T::value_type item{};
    decode_value((*array)[i], item, report);
    into.push_back(std::move(item));
  }
}

template <typename T>
void decode_map(const Value& value, T& into, Report& report) {
  const Object* object = value.if_object();
  if (!object) {
    return report.expected("an object", value);
  }
  into.clear();
  for (const auto& member : *object) {
    const std::string_view key(member.key().data(), member.key().size());
    const Report::Step step(report, key);
    decode_value(member.value(), into[std::string(key)], report);
  }
}

template <typename T>
void decode_raw(const Value& value, T& into, Report& report) {
  if constexpr (std::same_as<T, Value>) {
    into = value;
  } else if constexpr (std::same_as<T, Object>) {
    value.is_object() ? void(into = value.get_object()) : report.expected("an object", value);
  } else {
    value.is_array() ? void(into = value.get_array()) : report.expected("a list", value);
  }
}

template <typename T>
void decode_value(const Value& value, T& into, Report& report) {
  if constexpr (Custom<T>) {
    json_decode(value, into, report);
  } else if constexpr (Raw<T>) {
    decode_raw(value, into, report);
  } else if constexpr (std::same_as<T, bool>) {
    decode_bool(value, into, report);
  } else if constexpr (std::integral<T>) {
    using Limits = std::numeric_limits<T>;
    if (const auto number =
            decode_integer(value, static_cast<long long>(Limits::min()), Limits::max(), report)) {
      into = static_cast<T>(*number);
    }
  } else if constexpr (std::floating_point<T>) {
    if (const auto number = decode_number(value, report)) {
      into = static_cast<T>(*number);
    }
  } else if constexpr (std::same_as<T, std::string>) {
    decode_string(value, into, report);
  } else if constexpr (std::same_as<T, Duration>) {
    decode_duration(value, into, report);
  } else if constexpr (IsOptional<T>::value) {
    decode_value(value, into.emplace(), report);
  } else if constexpr (IsVector<T>::value) {
    decode_list(value, into, report);
  } else if constexpr (IsMap<T>::value) {
    decode_map(value, into, report);
  } else if constexpr (DescribedEnum<T>) {
    if (const auto number = decode_enum(value, names_of<T>(), report)) {
      into = static_cast<T>(*number);
    }
  } else {
    static_assert(DescribedStruct<T>,
                  "describe the type with BOOST_DESCRIBE_STRUCT, or give it json_decode/json_encode");
    decode_struct(value, into, report);
  }
}

template <typename T>
Value encode_list(const T& list, const EncodeOptions& options) {
  Array array;
  array.reserve(list.size());
  for (const auto& item : list) {
    array.push_back(encode_value<typename T::value_type>(item, options));
  }
  return Value(std::move(array));
}

template <typename T>
Value encode_map(const T& map, const EncodeOptions& options) {
  Object object;
  for (const auto& [key, item] : map) {
    object.emplace(key, encode_value(item, options));
  }
  return Value(std::move(object));
}

template <typename T>
Value encode_value(const T& value, const EncodeOptions& options) {
  if constexpr (Custom<T>) {
    return json_encode(value);
  } else if constexpr (Raw<T>) {
    return Value(value);
  } else if constexpr (std::same_as<T, std::string>) {
    return string_value(value);
  } else if constexpr (std::same_as<T, Duration>) {
    return string_value(duration_text(value));
  } else if constexpr (std::is_arithmetic_v<T>) {
    return Value(value);
  } else if constexpr (IsOptional<T>::value) {
    return value ? encode_value(*value, options) : Value(nullptr);
  } else if constexpr (IsVector<T>::value) {
    return encode_list(value, options);
  } else if constexpr (IsMap<T>::value) {
    return encode_map(value, options);
  } else if constexpr (DescribedEnum<T>) {
    return encode_enum(static_cast<long long>(value), names_of<T>());
  } else {
    static_assert(DescribedStruct<T>,
                  "describe the type with BOOST_DESCRIBE_STRUCT, or give it json_decode/json_encode");
    return encode_fields(&value, fields_of<T>(), options);
  }
}

}  // namespace llmd::json::detail
