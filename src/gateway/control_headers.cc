#include "gateway/control_headers.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "base/strings.h"

namespace llmd::gateway {
namespace {

constexpr auto kNever = std::to_array<std::string_view>({
    "x-gateway-destination-endpoint",
    "x-gateway-destination-endpoint-subset",
    "x-gateway-destination-endpoint-served",
    "x-conformance-test-served-endpoint",
    "test-epp-endpoint-selection",
    "x-prefiller-host-port",
    "x-prefiller-url",
    "x-encoder-hosts-ports",
    "x-encoder-host-port",
    "x-data-parallel-host-port",
    "x-data-parallel-rank",
    "x-kv-cache-source-host-port",
    "x-llm-d-kv-cache-source-host-port",
    "x-llm-d-prefiller-host-port",
    "x-llm-d-encoder-hosts-ports",
    "x-llm-d-request-dropped-reason",
    "x-went-into-resp-headers",
    "x-gateway-destination-endpoint-scores",
});

constexpr auto kTrusted = std::to_array<std::string_view>({
    "x-gateway-inference-objective",
    "x-gateway-inference-fairness-id",
    "x-llm-d-inference-objective",
    "x-llm-d-inference-fairness-id",
    "x-gateway-model-name-rewrite",
    "x-llm-d-model-name-rewrite",
    "x-slo-ttft-ms",
    "x-slo-tpot-ms",
    "x-llm-d-slo-ttft-ms",
    "x-llm-d-slo-tpot-ms",
    "x-prediction-based-scheduling",
    "x-original-path",
    "x-forwarded-path",
});

bool is_one_of(std::string_view name, std::span<const std::string_view> names) {
  return std::ranges::any_of(names, [&](std::string_view known) {
    return known.size() == name.size() && equals_ignoring_case(known, name);
  });
}

// Nearly every header is none of ours; its first letters tell.
bool may_control(std::string_view name) {
  return name.size() > 12 && (name[0] == 'x' || name[0] == 'X' || name[0] == 't' || name[0] == 'T') &&
         name.find('-') != std::string_view::npos;
}

}  // namespace

bool is_control_header(std::string_view name, bool trusted) {
  return may_control(name) && (is_one_of(name, kNever) || (!trusted && is_one_of(name, kTrusted)));
}

void strip_control_headers(http::Headers& headers, bool trusted) {
  std::vector<std::string> found;
  for (const auto& [name, value] : headers) {
    if (is_control_header(name, trusted)) {
      found.push_back(name);
    }
  }
  for (const std::string& name : found) {
    headers.remove(name);
  }
}

}  // namespace llmd::gateway
