// Replay: decides again what Picker::export_explanations() wrote, with the same or another configuration.
// Nothing but the file is needed: what state contributed (prefix matches, predictions, sessions) stands in
// it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/value.h"

namespace llmd::picker {

struct ReplayedDecision {
  std::uint64_t id = 0;
  std::string request_id;
  std::string then;  // destination; empty: rejected
  std::string now;
  std::string then_prefill;
  std::string now_prefill;
  // What the replayed configuration thinks of both: weighted sums, absent where its filters left them out.
  std::optional<double> then_score;
  std::optional<double> now_score;
  bool same() const { return then == now && then_prefill == now_prefill; }
};

// How often an endpoint was chosen, and would have been.
struct EndpointShift {
  std::string endpoint;
  std::size_t then = 0;
  std::size_t now = 0;
};

struct ReplayReport {
  std::vector<ReplayedDecision> decisions;
  std::size_t same = 0;
  std::size_t different = 0;
  std::size_t rejected = 0;  // of the same ones: those that were refused; they are not decided again
  // Data that the configuration reads and the file does not have; decisions were made as if it were zero.
  std::vector<std::string> missing;

  std::vector<EndpointShift> shifts() const;             // by endpoint
  json::Value to_json() const;                           // every changed decision
  std::string to_text(std::size_t examples = 10) const;  // tables for people
};

// `configuration` empty: the one in the file. InvalidArgument for a file that is none of ours.
Result<ReplayReport> replay(std::string_view explanations, std::string_view configuration = {},
                            std::string_view configuration_name = "new configuration");

}  // namespace llmd::picker
