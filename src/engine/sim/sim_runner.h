// Stands in for the model: takes tokens from each sequence's script and says how long they would have taken.
#pragma once

#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "engine/core/runner.h"
#include "engine/sim/options.h"

namespace llmd::engine::sim {

class SimRunner final : public Runner {
 public:
  SimRunner(Timing timing, int max_running, const Clock& clock = system_clock())
      : timing_(timing), max_running_(max_running), clock_(clock) {}

  void add_script(SequenceId id, std::vector<Token> script) { scripts_[id] = std::move(script); }
  void drop_script(SequenceId id) { scripts_.erase(id); }

  void run(std::span<const Chunk> chunks, std::span<ChunkResult> results) override;
  // Sequences that hold a slot: the load that factor_under_load is about.
  void set_running(int running) { running_ = running; }
  // When every prompt that was begun has been read, where they wait for each other.
  TimePoint prefilled() const { return prefilled_; }

 private:
  Duration delay(const Chunk& chunk);
  Duration next_token(const Sequence& sequence, std::uint64_t index);
  Duration prefill(const Sequence& sequence, int tokens, std::uint64_t index);
  Duration jittered(double mean, double deviation, const Sequence& sequence, std::uint64_t index) const;

  const Timing timing_;
  const int max_running_;
  const Clock& clock_;
  int running_ = 0;
  TimePoint prefilled_;  // all prompts up to now, where they wait for each other
  std::unordered_map<SequenceId, std::vector<Token>> scripts_;
};

}  // namespace llmd::engine::sim
