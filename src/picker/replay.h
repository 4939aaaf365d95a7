// Replay: decides again what Picker::export_explanations() wrote, with the same or another configuration.
// Nothing but the file is needed: what state contributed (prefix matches, predictions, sessions) stands in
// it.
#pragma once

#include <cstdint>
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
  bool same() const { return then == now && then_prefill == now_prefill; }
};

struct ReplayReport {
  std::vector<ReplayedDecision> decisions;
  std::size_t same = 0;
  std::size_t different = 0;
  // Data that the configuration reads and the file does not have; decisions were made as if it were zero.
  std::vector<std::string> missing;

  json::Value to_json() const;
};

// `configuration` empty: the one in the file. InvalidArgument for a file that is none of ours.
Result<ReplayReport> replay(std::string_view explanations, std::string_view configuration = {},
                            std::string_view configuration_name = "new configuration");

}  // namespace llmd::picker
