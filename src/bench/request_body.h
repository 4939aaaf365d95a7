// The bodies that `llmd bench load` sends: as large as asked for, and as alike as asked for.
#pragma once

#include <cstdint>
#include <string>

#include "bench/load_options.h"

namespace llmd::bench {

// Rendered once but for the numbers that make a prompt unique or one of a group. Groups are prompts that
// begin with the same `prefix_bytes`: a system prompt, in front of the question.
class RequestBody {
 public:
  explicit RequestBody(const LoadOptions& options);

  // The body of the request with this number; the same number gives the same body.
  std::string render(std::uint64_t number) const;

 private:
  std::string group_text(std::uint64_t number) const;

  std::uint64_t groups_ = 0;
  std::uint64_t seed_ = 0;
  std::size_t digits_ = 0;
  std::string opening_;   // up to the text of the group, or to the question where there are none
  std::string prefix_;    // the text that a group shares, after its number
  std::string between_;   // from there to the number of the request
  std::string question_;  // the rest of the prompt, and all that follows it
};

}  // namespace llmd::bench
