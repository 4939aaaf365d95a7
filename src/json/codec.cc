#include "json/codec.h"

#include "base/strings.h"

namespace llmd::json {

std::string Mistake::text() const {
  const std::string where = path.empty() ? message : fmt::format("{}: {}", path, message);
  return hint.empty() ? where : fmt::format("{} ({})", where, hint);
}

Error Mistake::error() const {
  return {ErrorKind::InvalidArgument, path.empty() ? message : fmt::format("{}: {}", path, message), hint};
}

void Report::add_with_hint(std::string_view member, std::string hint, std::string message) {
  mistakes_.push_back(
      {member.empty() ? path_ : path_member(path_, member), std::move(message), std::move(hint)});
}

void Report::expected(std::string_view what, const Value& got) {
  add_with_hint({}, {}, fmt::format("expected {}, got {}", what, kind_name(got)));
}

Report::Step::Step(Report& report, std::string_view member)
    : report_(report), length_before_(report.path_.size()) {
  report_.path_ = path_member(report_.path_, member);
}
Report::Step::Step(Report& report, std::size_t index) : report_(report), length_before_(report.path_.size()) {
  report_.path_ = path_index(report_.path_, index);
}
Report::Step::~Step() {
  report_.path_.resize(length_before_);
}

namespace detail {
namespace {

const Field* field_named(std::span<const Field> fields, std::string_view name) {
  for (const Field& field : fields) {
    if (field.name == name) {
      return &field;
    }
  }
  return nullptr;
}

void report_unknown(std::string_view name, std::span<const Field> fields, Report& report) {
  std::vector<std::string_view> known;
  for (const Field& field : fields) {
    known.push_back(field.name);
  }
  report.add_with_hint(name, did_you_mean(name, known), "unknown field");
}

}  // namespace

bool decode_fields(const Value& value, void* object, std::span<const Field> fields, Report& report) {
  const Object* members = value.if_object();
  if (!members) {
    report.expected("an object", value);
    return false;
  }
  for (const auto& member : *members) {
    const std::string_view name(member.key().data(), member.key().size());
    const Field* field = field_named(fields, name);
    if (!field) {
      if (report.options().unknown_fields == UnknownFields::Error) {
        report_unknown(name, fields, report);
      }
    } else if (!member.value().is_null()) {
      const Report::Step step(report, name);
      field->decode(member.value(), object, report);
    }
  }
  return true;
}

Value encode_fields(const void* object, std::span<const Field> fields, const EncodeOptions& options) {
  Object members;
  for (const Field& field : fields) {
    Value value;
    if (field.encode(object, options, value)) {
      members.emplace(boost::json::string_view(field.name.data(), field.name.size()), std::move(value));
    }
  }
  return Value(std::move(members));
}

std::optional<long long> decode_enum(const Value& value, std::span<const EnumName> names, Report& report) {
  const String* text = value.if_string();
  if (!text) {
    report.expected("a string", value);
    return std::nullopt;
  }
  const std::string_view given(text->data(), text->size());
  std::vector<std::string_view> known;
  for (const EnumName& candidate : names) {
    if (candidate.name == given) {
      return candidate.value;
    }
    known.push_back(candidate.name);
  }
  report.add_with_hint(
      {}, did_you_mean(given, known),
      fmt::format("unknown value \"{}\"; expected one of {}", given, fmt::join(known, ", ")));
  return std::nullopt;
}

Value encode_enum(long long value, std::span<const EnumName> names) {
  for (const EnumName& candidate : names) {
    if (candidate.value == value) {
      return string_value(candidate.name);
    }
  }
  return Value(value);
}

std::optional<long long> decode_integer(const Value& value, long long low, unsigned long long high,
                                        Report& report) {
  if (!value.is_number()) {
    report.expected("an integer", value);
    return std::nullopt;
  }
  // Above the signed range only unsigned 64-bit members can hold the number; its bits survive the conversion.
  if (const auto* large = value.if_uint64(); large && *large > static_cast<std::uint64_t>(INT64_MAX)) {
    if (*large <= high) {
      return static_cast<long long>(*large);
    }
    report.add({}, "must be at most {}, got {}", high, *large);
    return std::nullopt;
  }
  const auto number = as_integer(value);
  if (!number) {
    report.add({}, "expected an integer, got {}", write(value));
  } else if (*number < low) {
    report.add({}, "must be at least {}, got {}", low, *number);
  } else if (*number > 0 && static_cast<unsigned long long>(*number) > high) {
    report.add({}, "must be at most {}, got {}", high, *number);
  } else {
    return *number;
  }
  return std::nullopt;
}

std::optional<double> decode_number(const Value& value, Report& report) {
  if (!value.is_number()) {
    report.expected("a number", value);
    return std::nullopt;
  }
  return value.to_number<double>();
}

void decode_string(const Value& value, std::string& into, Report& report) {
  if (const String* text = value.if_string()) {
    into.assign(text->data(), text->size());
  } else if (value.is_number() || value.is_bool()) {
    report.add_with_hint({}, fmt::format("put it in quotes: \"{}\"", write(value)),
                         fmt::format("expected a string, got {}", kind_name(value)));
  } else {
    report.expected("a string", value);
  }
}

void decode_bool(const Value& value, bool& into, Report& report) {
  if (const bool* flag = value.if_bool()) {
    into = *flag;
  } else {
    report.expected("a boolean", value);
  }
}

void decode_duration(const Value& value, Duration& into, Report& report) {
  const String* text = value.if_string();
  if (!text) {
    report.add_with_hint({}, "write a unit: \"1.5s\"",
                         fmt::format("expected a duration, got {}", kind_name(value)));
    return;
  }
  if (auto duration = parse_duration({text->data(), text->size()})) {
    into = *duration;
  } else {
    report.add_with_hint({}, std::move(duration.error().advice), std::move(duration.error().message));
  }
}

std::string duration_text(Duration duration) {
  using namespace std::chrono_literals;
  std::string text = duration < 0ns ? "-" : "";
  auto rest = static_cast<unsigned long long>(duration < 0ns ? -duration.count() : duration.count());
  constexpr unsigned long long kSecond = 1'000'000'000;
  if (rest < kSecond && rest > 0) {
    const bool milliseconds = rest >= 1'000'000;
    const double unit = milliseconds ? 1e6 : rest >= 1000 ? 1e3 : 1.0;
    return text + fmt::format("{}{}", static_cast<double>(rest) / unit,
                              milliseconds   ? "ms"
                              : rest >= 1000 ? "us"
                                             : "ns");
  }
  if (const auto hours = rest / (3600 * kSecond)) {
    text += fmt::format("{}h", hours);
    rest %= 3600 * kSecond;
  }
  if (const auto minutes = rest / (60 * kSecond); minutes || text.ends_with('h')) {
    text += fmt::format("{}m", minutes);
    rest %= 60 * kSecond;
  }
  return text + fmt::format("{}s", static_cast<double>(rest) / kSecond);
}

bool is_empty(const Value& value) {
  switch (value.kind()) {
    case boost::json::kind::string:
      return value.get_string().empty();
    case boost::json::kind::array:
      return value.get_array().empty();
    case boost::json::kind::object:
      return value.get_object().empty();
    default:
      return false;
  }
}

}  // namespace detail
}  // namespace llmd::json
