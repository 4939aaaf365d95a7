// The requests of a run: prompts that share the text of their group, as published benchmarks of llm-d have
// them, and when they arrive.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"

namespace llmd::engine::fleet {

struct Workload {
  std::size_t groups = 150;           // prompts of one begin with the same text
  std::size_t prompts_per_group = 5;  // different ones, asked again and again; 0: every question is new
  std::size_t prefix_tokens = 6000;   // that a group shares
  std::size_t question_tokens = 1200;
  int output_tokens = 1000;
};

struct WorkItem {
  Duration at = {};  // since the step's begin
  std::uint64_t prompt = 0;
};

// `count` arrivals of a Poisson process, each with a prompt drawn evenly. Numbers of prompts that are never
// asked again begin at `first_new`.
std::vector<WorkItem> arrivals(const Workload& workload, double rate, std::size_t count, std::uint64_t seed,
                               std::uint64_t first_new);

// Four characters per token.
std::string prompt_text(const Workload& workload, std::uint64_t prompt);

}  // namespace llmd::engine::fleet
