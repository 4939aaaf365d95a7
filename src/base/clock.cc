#include "base/clock.h"

#include <array>
#include <cstdio>
#include <ctime>

#include "base/strings.h"

namespace llmd {
namespace {

class SystemClock final : public Clock {
 public:
  TimePoint now() const override { return std::chrono::steady_clock::now(); }
  WallTime wall_now() const override { return std::chrono::system_clock::now(); }
};

struct Unit {
  std::string_view name;
  double nanoseconds;
};
constexpr std::array kUnits{Unit{"ns", 1},  Unit{"us", 1e3}, Unit{"ms", 1e6},
                            Unit{"s", 1e9}, Unit{"m", 6e10}, Unit{"h", 3.6e12}};

}  // namespace

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

std::string to_rfc3339(WallTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec);
}

Result<WallTime> parse_rfc3339(std::string_view text) {
  const std::string copy(text);
  std::tm utc{};
  int consumed = 0;
  const int fields = std::sscanf(copy.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &utc.tm_year, &utc.tm_mon,
                                 &utc.tm_mday, &utc.tm_hour, &utc.tm_min, &utc.tm_sec, &consumed);
  if (fields != 6) {
    return invalid_argument("'{}' is not an RFC 3339 time", text).hint("write it like 2026-01-02T03:04:05Z");
  }
  utc.tm_year -= 1900;
  utc.tm_mon -= 1;
  std::string_view rest = text.substr(static_cast<std::size_t>(consumed));
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    while (!rest.empty() && rest.front() >= '0' && rest.front() <= '9') {
      rest.remove_prefix(1);
    }
  }
  if (rest != "Z" && rest != "z" && rest != "+00:00") {
    return invalid_argument("'{}' is not in UTC", text).hint("end it with Z");
  }
  return std::chrono::system_clock::from_time_t(timegm(&utc));
}

Result<Duration> parse_duration(std::string_view text) {
  const auto bad = [text] {
    return invalid_argument("'{}' is not a duration", text).hint("write it like 300ms, 1.5s or 1h30m");
  };
  if (text == "0") {
    return Duration::zero();
  }
  double total = 0;
  std::string_view rest = text;
  if (rest.empty()) {
    return bad();
  }
  while (!rest.empty()) {
    const auto number_size = rest.find_first_not_of("0123456789.");
    if (number_size == 0 || number_size == std::string_view::npos) {
      return bad();
    }
    const auto number = parse_number(rest.substr(0, number_size));
    rest.remove_prefix(number_size);
    const auto unit_name = rest.substr(0, rest.find_first_of("0123456789."));
    const Unit* unit = nullptr;
    for (const Unit& candidate : kUnits) {
      if (candidate.name == unit_name) {
        unit = &candidate;
      }
    }
    if (!number || unit == nullptr) {
      return bad();
    }
    total += *number * unit->nanoseconds;
    rest.remove_prefix(unit_name.size());
  }
  if (total > 9.2e18) {
    return bad();
  }
  return Duration(static_cast<long long>(total));
}

}  // namespace llmd
