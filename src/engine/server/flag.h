// One command line flag of `llmd serve`, as a row of a table: its spelling, its help, and what it does. A
// flag either changes the options, has no effect (which is said once), or is refused with a reason.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "engine/server/serve_options.h"

namespace llmd::engine {

enum class Shape {
  Switch,  // --x and --no-x
  Value,   // --x value
  List,    // --x one two three
};

using Values = std::span<const std::string>;  // a switch gets "true" or "false"

struct Flag {
  std::string_view name;  // with dashes, without the leading two
  Shape shape = Shape::Value;
  std::string_view help;  // for honoured flags
  Result<void> (*apply)(ServeOptions& options, Values values) = nullptr;
  std::string_view no_effect;  // why it changes nothing here
  std::string_view refused;    // why it cannot be asked for
  std::string_view alias;      // another spelling
};

std::span<const Flag> honoured_flags();
std::span<const Flag> simulation_flags();
std::span<const Flag> other_flags();  // without effect, or refused

// Readers of one value; the message says what was expected, the parser adds the flag's name.
Result<void> read(std::string& into, Values values);
Result<void> read(bool& into, Values values);
Result<void> read(int& into, Values values);            // human: 32k is 32000, 32K is 32768
Result<void> read(std::uint64_t& into, Values values);  // the same
Result<void> read(double& into, Values values);
Result<void> read(std::vector<std::string>& into, Values values);
// A plain number is milliseconds, as in the simulator; otherwise 1.5s, 20ms.
Result<void> read_milliseconds(Duration& into, Values values);
// A plain number is seconds.
Result<void> read_seconds(Duration& into, Values values);
Result<void> read_choice(std::string& into, Values values, std::span<const std::string_view> choices);
// Within [low, high].
Result<void> read_int(int& into, Values values, int low, int high);

}  // namespace llmd::engine
