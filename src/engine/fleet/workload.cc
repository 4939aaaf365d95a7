#include "engine/fleet/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "engine/core/random.h"

namespace llmd::engine::fleet {
namespace {

constexpr std::size_t kBytesPerToken = 4;

// Begins with a number, so that texts of different numbers share nothing.
void append_text(std::string& text, std::uint64_t number, std::size_t tokens) {
  constexpr std::string_view kWords = "some of many words that nobody reads, ";
  const std::size_t end = text.size() + tokens * kBytesPerToken;
  text += fmt::format("{:016}", number);
  while (text.size() < end) {
    text += kWords;
  }
  text.resize(end);
}

}  // namespace

std::vector<WorkItem> arrivals(const Workload& workload, double rate, std::size_t count, std::uint64_t seed,
                               std::uint64_t first_new) {
  std::vector<WorkItem> items(count);
  double seconds = 0;
  for (std::size_t i = 0; i < count; ++i) {
    seconds -= std::log(1 - random_unit(seed, 2 * i)) / rate;
    const std::uint64_t drawn = random_bits(seed, 2 * i + 1);
    items[i].at = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
    items[i].prompt = workload.prompts_per_group > 0
                          ? drawn % (workload.groups * workload.prompts_per_group)
                          : (first_new + i) * workload.groups + drawn % workload.groups;
  }
  return items;
}

std::string prompt_text(const Workload& workload, std::uint64_t prompt) {
  std::string text;
  text.reserve((workload.prefix_tokens + workload.question_tokens) * kBytesPerToken);
  append_text(text, prompt % workload.groups, workload.prefix_tokens);
  append_text(text, prompt / workload.groups, workload.question_tokens);
  return text;
}

}  // namespace llmd::engine::fleet
