// Simulated engines and a picker on virtual time (README.md).
//
//   LLMD_TRY(auto fleet, Fleet::create(options));
//   fleet->run(workload, {.rate = 15, .requests = 750});            // warm up
//   const StepReport report = fleet->run(workload, {.rate = 60, .requests = 1500});
//
// One thread. Runs with the same options and seeds are alike, to the last digit without KV events.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/fleet/fleet_engine.h"
#include "engine/fleet/virtual_clock.h"
#include "engine/fleet/workload.h"
#include "json/value.h"
#include "picker/picker.h"

namespace llmd::engine::fleet {

struct FleetOptions {
  ServeOptions engine;
  std::size_t engines = 8;
  // Of an EndpointPickerConfig; without one endpoints take turns (round robin).
  std::optional<std::string> picker_config;
  std::string config_name = "picker.yaml";  // for errors
  bool tokenize = false;                    // the picker gets the prompt's tokens, as from a token-producer
  bool usage = true;  // answers end with token counts, by which the picker checks guesses
  Duration scrape_interval = std::chrono::milliseconds(50);
  Duration timeout = std::chrono::minutes(10);  // clients give up
  std::uint64_t seed = 1;
};

struct Step {
  double rate = 1;
  std::size_t requests = 100;
};

// Of one step, from its first request until its last has ended.
struct StepReport {
  double rate = 0;
  std::uint64_t requests = 0;
  std::uint64_t timed_out = 0;
  std::uint64_t refused = 0;  // by the picker
  double seconds = 0;
  double output_tokens = 0;
  std::vector<double> ttft_seconds;   // of those that got one
  std::vector<double> tpot_seconds;   // of those that were answered
  double prompt_tokens = 0;           // of those that got a first token
  double cached_tokens = 0;           // of these
  double waiting = 0;                 // per engine, mean over time
  std::vector<std::uint64_t> chosen;  // requests by engine
  // How far what the picker predicted was from what happened: |predicted - actual| / actual.
  std::vector<double> ttft_errors;
  std::vector<double> tpot_errors;
};

class Fleet {
 public:
  static Result<std::unique_ptr<Fleet>> create(FleetOptions options);
  ~Fleet();

  StepReport run(const Workload& workload, const Step& step);
  // What the picker says of itself; null in turns.
  json::Value picker_state() const;

 private:
  class Flight;
  struct Running;

  explicit Fleet(FleetOptions options);
  Result<void> make_engines();
  Result<void> make_picker();
  Result<void> meet_subscribers();
  std::uint64_t heard() const;
  void settle() const;
  void scrape();
  void send(const Workload& workload, std::uint64_t prompt);
  std::optional<std::size_t> choose(Flight& flight, const std::string& text, std::vector<Token>& tokens);
  void give_up(TimePoint before);
  TimePoint next_time(const std::vector<WorkItem>& items, std::size_t next, TimePoint begin) const;

  const FleetOptions options_;
  VirtualClock clock_;
  std::vector<std::unique_ptr<FleetEngine>> engines_;
  std::unique_ptr<picker::Picker> picker_;  // null: in turns
  std::uint64_t silent_ = 0;                // batches of events that nobody was there to hear
  std::uint64_t sent_ = 0;
  std::uint64_t steps_ = 0;
  TimePoint next_scrape_;
  std::unique_ptr<Running> running_;  // null between steps
};

}  // namespace llmd::engine::fleet
