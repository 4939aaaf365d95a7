// What the simulated engine is told; names and defaults of the flags are those of llm-d-inference-sim.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"

namespace llmd::engine::sim {

enum class Mode { Random, Echo };

// A mean and its standard deviation; at most 30 % of it.
struct Jittered {
  Duration mean = {};
  Duration deviation = {};
};

struct Timing {
  Jittered time_to_first_token;  // constant; when zero, the next three decide
  Duration prefill_overhead = {};
  Duration prefill_time_per_token = {};
  Duration prefill_deviation = {};
  // Prompts wait for each other, as on a real accelerator, whose speed they share; not for the overhead,
  // which is a step's latency.
  bool one_prefill_at_a_time = false;
  Jittered inter_token_latency;
  double factor_under_load = 1.0;  // of all times, with every slot busy; linear between
};

struct Failures {
  int rate = 0;                    // percent of requests
  std::vector<std::string> types;  // empty: all
};

struct Options {
  Mode mode = Mode::Random;
  Timing timing;
  Failures failures;
  Duration startup = {};
  bool log_http = false;
  std::uint64_t seed = 0;
};

}  // namespace llmd::engine::sim
