#include <cmath>
#include <limits>

#include "base/strings.h"
#include "engine/server/flag.h"

namespace llmd::engine {
namespace {

// 32k = 32 000, 32K = 32 768; m M g G t T alike; fractions only with the decimal ones.
Result<std::uint64_t> human_number(std::string_view text) {
  constexpr std::string_view kSuffixes = "kmgt";
  double factor = 1;
  bool binary = false;
  std::string_view digits = text;
  if (!text.empty()) {
    const char last = text.back();
    const std::size_t decimal = kSuffixes.find(last);
    const std::size_t upper = std::string_view("KMGT").find(last);
    binary = upper != std::string_view::npos;
    if (decimal != std::string_view::npos || binary) {
      factor = std::pow(binary ? 1024.0 : 1000.0, static_cast<double>((binary ? upper : decimal) + 1));
      digits.remove_suffix(1);
    }
  }
  const auto number = parse_number(digits);
  const double value = number.value_or(-1) * factor;
  const bool whole = value == std::floor(value) && (!binary || digits.find('.') == std::string_view::npos);
  if (!number || !whole || value < 0 || value > 9e15) {
    return invalid_argument("expected a number such as 4096, 32k (32000) or 32K (32768), got '{}'", text);
  }
  return static_cast<std::uint64_t>(value);
}

}  // namespace

Result<void> read(std::string& into, Values values) {
  into = values.front();
  return {};
}

Result<void> read(bool& into, Values values) {
  const std::string text = to_lower(values.front());
  into = text == "true" || text == "1" || text == "yes" || text == "on";
  if (!into && text != "false" && text != "0" && text != "no" && text != "off") {
    return invalid_argument("expected true or false, got '{}'", values.front());
  }
  return {};
}

Result<void> read(int& into, Values values) {
  if (const auto plain = parse_integer(values.front()); plain && *plain < 0) {
    return invalid_argument("must not be negative, got {}", *plain);
  }
  LLMD_TRY(const std::uint64_t number, human_number(values.front()));
  if (number > static_cast<std::uint64_t>(std::numeric_limits<int>::max())) {
    return invalid_argument("is too large: {}", values.front());
  }
  into = static_cast<int>(number);
  return {};
}

Result<void> read(std::uint64_t& into, Values values) {
  LLMD_TRY(into, human_number(values.front()));
  return {};
}

Result<void> read(double& into, Values values) {
  const auto number = parse_number(values.front());
  if (!number) {
    return invalid_argument("expected a number, got '{}'", values.front());
  }
  into = *number;
  return {};
}

Result<void> read(std::vector<std::string>& into, Values values) {
  into.assign(values.begin(), values.end());
  return {};
}

Result<void> read_milliseconds(Duration& into, Values values) {
  if (const auto number = parse_number(values.front()); number && *number >= 0) {
    into = Duration(static_cast<Duration::rep>(*number * 1e6));
    return {};
  }
  LLMD_TRY(into, parse_duration(values.front()));
  return {};
}

Result<void> read_seconds(Duration& into, Values values) {
  if (const auto number = parse_number(values.front()); number && *number >= 0) {
    into = Duration(static_cast<Duration::rep>(*number * 1e9));
    return {};
  }
  LLMD_TRY(into, parse_duration(values.front()));
  return {};
}

Result<void> read_choice(std::string& into, Values values, std::span<const std::string_view> choices) {
  for (const std::string_view choice : choices) {
    if (values.front() == choice) {
      into = choice;
      return {};
    }
  }
  std::string all;
  for (const std::string_view choice : choices) {
    all += (all.empty() ? "" : ", ") + std::string(choice);
  }
  return invalid_argument("must be one of {}, got '{}'", all, values.front())
      .hint(did_you_mean(values.front(), choices));
}

Result<void> read_int(int& into, Values values, int low, int high) {
  LLMD_TRY_VOID(read(into, values));
  if (into < low || into > high) {
    return invalid_argument("must be between {} and {}, got {}", low, high, into);
  }
  return {};
}

}  // namespace llmd::engine
