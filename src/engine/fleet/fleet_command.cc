#include "engine/fleet/fleet_command.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "base/file.h"
#include "base/strings.h"
#include "engine/fleet/fleet.h"
#include "engine/server/arguments.h"

namespace llmd::engine::fleet {
namespace {

struct Command {
  FleetOptions fleet;
  Workload workload;
  std::vector<double> rates = {10};
  Duration step = std::chrono::seconds(25);  // requests arrive for so long
  std::optional<Step> warm_up;
};

Result<double> positive(std::string_view flag, std::string_view text) {
  const auto number = parse_number(text);
  if (!number || !(*number > 0)) {
    return invalid_argument("{}: expected a number above 0, got '{}'", flag, text);
  }
  return *number;
}

template <typename Number>
Result<void> read_count(std::string_view flag, std::string_view text, long long least, Number& into) {
  const auto number = parse_integer(text);
  if (!number || *number < least || *number > 1'000'000) {
    return invalid_argument("{}: expected a whole number from {} to a million, got '{}'", flag, least, text);
  }
  into = static_cast<Number>(*number);
  return {};
}

Result<void> read_time(std::string_view flag, std::string_view text, Duration& into) {
  auto duration = parse_duration(text);
  if (!duration) {
    return std::unexpected(std::move(duration).error().within(flag));
  }
  into = *duration;
  return {};
}

Result<void> read_rates(std::string_view flag, std::string_view text, std::vector<double>& into) {
  into.clear();
  for (const std::string_view word : split(text, ',')) {
    LLMD_TRY(const double rate, positive(flag, word));
    into.push_back(rate);
  }
  return {};
}

Result<void> set(Command& command, std::string_view flag, std::string_view value) {
  Workload& workload = command.workload;
  if (flag == "--config-file") {
    command.fleet.config_name = value;
    LLMD_TRY(command.fleet.picker_config, read_file(std::string(value)));
    return {};
  }
  if (flag == "--rates") {
    return read_rates(flag, value, command.rates);
  }
  if (flag == "--warm-up") {  // RATE:REQUESTS
    const std::size_t colon = value.find(':');
    Step& step = command.warm_up.emplace();
    LLMD_TRY(step.rate, positive(flag, value.substr(0, colon)));
    return read_count(flag, colon == std::string_view::npos ? "" : value.substr(colon + 1), 1, step.requests);
  }
  if (flag == "--step") {
    return read_time(flag, value, command.step);
  }
  if (flag == "--timeout") {
    return read_time(flag, value, command.fleet.timeout);
  }
  if (flag == "--engines") {
    return read_count(flag, value, 1, command.fleet.engines);
  }
  if (flag == "--seed") {
    return read_count(flag, value, 0, command.fleet.seed);
  }
  if (flag == "--groups") {
    return read_count(flag, value, 1, workload.groups);
  }
  if (flag == "--prompts-per-group") {
    return read_count(flag, value, 0, workload.prompts_per_group);
  }
  if (flag == "--prefix-tokens") {
    return read_count(flag, value, 4, workload.prefix_tokens);
  }
  if (flag == "--question-tokens") {
    return read_count(flag, value, 4, workload.question_tokens);
  }
  if (flag == "--output-tokens") {
    return read_count(flag, value, 1, workload.output_tokens);
  }
  return invalid_argument("unknown flag '{}'", flag);
}

Result<Command> parse(std::span<const std::string> arguments) {
  Command command;
  const auto engine = std::ranges::find(arguments, "--");
  const std::span<const std::string> own(arguments.begin(), engine);
  for (std::size_t i = 0; i < own.size(); i += 2) {
    if (own[i] == "--tokenize" || own[i] == "--no-usage") {
      (own[i] == "--tokenize" ? command.fleet.tokenize : command.fleet.usage) = own[i] == "--tokenize";
      --i;
      continue;
    }
    if (i + 1 == own.size()) {
      return invalid_argument("{} needs a value", own[i]);
    }
    LLMD_TRY_VOID(set(command, own[i], own[i + 1]));
  }
  std::vector<std::string> words = {"bench", "--simulate"};
  words.insert(words.end(), engine == arguments.end() ? engine : engine + 1, arguments.end());
  LLMD_TRY(command.fleet.engine, parse_arguments(words));
  return command;
}

json::Object distribution(std::vector<double> values) {
  std::ranges::sort(values);
  const auto at = [&values](double quantile) {
    return values.empty()
               ? 0.0
               : values[static_cast<std::size_t>(quantile * static_cast<double>(values.size() - 1))];
  };
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  return {{"count", values.size()}, {"mean", values.empty() ? 0.0 : sum / static_cast<double>(values.size())},
          {"p50", at(0.5)},         {"p90", at(0.9)},
          {"p99", at(0.99)},        {"sum", sum}};
}

json::Value to_json(const StepReport& report) {
  json::Array chosen(report.chosen.begin(), report.chosen.end());
  return json::Object{
      {"rate", report.rate},
      {"requests", report.requests},
      {"timed_out", report.timed_out},
      {"refused", report.refused},
      {"seconds", report.seconds},
      {"output_tokens", report.output_tokens},
      {"ttft_s", distribution(report.ttft_seconds)},
      {"tpot_s", distribution(report.tpot_seconds)},
      {"cached_share", report.prompt_tokens > 0 ? report.cached_tokens / report.prompt_tokens : 0},
      {"waiting", report.waiting},
      {"chosen", std::move(chosen)},
      {"ttft_error", distribution(report.ttft_errors)},
      {"tpot_error", distribution(report.tpot_errors)}};
}

}  // namespace

std::string_view routing_usage() {
  return R"(usage: llmd bench routing [FLAG VALUE]… [-- FLAGS OF llmd serve --simulate]

Simulated engines and a picker on virtual time: what clients see at each rate. No network, no proxy.

  --config-file FILE       the picker's configuration; without one endpoints take turns
  --tokenize               the picker gets the prompt's tokens
  --no-usage               answers end without token counts: the picker cannot check what it guessed
  --engines N              (8)
  --rates R,R,…            requests per second of each step (10)
  --step TIME              requests arrive for so long in each step (25s), which ends with its last answer
  --warm-up RATE:REQUESTS  a step before, that is not reported
  --groups N               prompts of a group begin with the same text (150)
  --prompts-per-group N    different ones, asked again and again; 0: every question is new (5)
  --prefix-tokens N        of the text that a group shares (6000)
  --question-tokens N      (1200)
  --output-tokens N        (1000)
  --timeout TIME           clients give up (10m)
  --seed N                 (1)
)";
}

Result<int> run_routing(std::span<const std::string> arguments) {
  LLMD_TRY(Command command, parse(arguments));
  LLMD_TRY(const auto fleet, Fleet::create(std::move(command.fleet)));
  if (command.warm_up) {
    fleet->run(command.workload, *command.warm_up);
  }
  json::Array steps;
  for (const double rate : command.rates) {
    const double count = rate * std::chrono::duration<double>(command.step).count();
    steps.push_back(
        to_json(fleet->run(command.workload, {rate, static_cast<std::size_t>(std::max(count, 1.0))})));
  }
  fmt::print("{}\n",
             json::write(json::Object{{"steps", std::move(steps)}, {"picker", fleet->picker_state()}}));
  return 0;
}

}  // namespace llmd::engine::fleet
