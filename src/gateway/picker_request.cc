#include "gateway/picker_request.h"

#include "base/assert.h"

namespace llmd::gateway {
namespace {

// An endpoint that knows the whole prompt wins over others until it runs four times as many requests as they
// do; up to four requests do not count as load.
// Blocks of 1 KiB tell conversations apart and keep prompts of hundreds of kilobytes cheap; 4096 of them are
// a million tokens, more than an engine keeps, and little enough to stay in a processor's cache.
// Nothing is scraped: both are known from what this gateway has sent.
constexpr std::string_view kPoolConfiguration = R"(apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: active-request-scorer
  parameters: {idleThreshold: 4}
- type: approx-prefix-cache-producer
  parameters: {autoTune: false, blockSizeTokens: 256, lruCapacityPerServer: 4096}
- type: prefix-cache-scorer
dataLayer: {injectDefaults: false}
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: active-request-scorer
    weight: 4
  - pluginRef: prefix-cache-scorer
    weight: 3
)";

std::string_view either_of(const http::Headers& headers, std::string_view name, std::string_view other) {
  const auto found = headers.find(name);
  return found ? *found : headers.find(other).value_or("");
}

}  // namespace

std::vector<openai::MediaItem> media_of(const openai::RequestScan& scan, std::string_view body,
                                        const http::Headers& headers, const openai::MediaEstimate& estimate) {
  if (!scan.multimodal()) {
    return {};
  }
  return openai::media_items(
      scan, body, estimate,
      openai::read_video_hints(headers.find("x-llm-d-video-duration-seconds"),
                               headers.find("x-llm-d-video-fps"), headers.find("x-llm-d-video-resolution")));
}

picker::Request request_of(const openai::RequestScan& scan, const http::Headers& headers,
                           std::span<const openai::MediaItem> media) {
  picker::Request request;
  request.headers = headers;
  request.stream = scan.stream();
  request.objective = either_of(headers, "x-gateway-inference-objective", "x-llm-d-inference-objective");
  const auto fairness =
      either_of(headers, "x-gateway-inference-fairness-id", "x-llm-d-inference-fairness-id");
  request.fairness_id = fairness.empty() ? picker::kDefaultFairnessId : fairness;
  request.prompt_bytes = scan.prompt_bytes();
  request.prompt_units = scan.prompt_units();
  request.tokens = scan.tokens();
  request.cache_salt = scan.cache_salt() ? std::string_view(*scan.cache_salt()) : std::string_view();
  request.estimated_tokens = openai::estimated_tokens(scan, media);
  request.max_tokens = scan.max_tokens().value_or(0);
  request.multimodal = scan.multimodal();
  request.media = media;
  return request;
}

int priority_of(std::string_view objective, const std::map<std::string, int, std::less<>>& priorities) {
  const auto found = priorities.find(objective);
  return found == priorities.end() ? 0 : found->second;
}

Result<std::shared_ptr<picker::Picker>> make_pool_picker(const PoolsConfiguration& pools,
                                                         const trace::Tracer* tracer) {
  const std::string text = pools.pickerConfig.empty() ? std::string(kPoolConfiguration)
                                                      : json::write(json::Value(pools.pickerConfig));
  LLMD_TRY(auto made, picker::Picker::from_config(text, "pools.pickerConfig", {.tracer = tracer}));
  return std::shared_ptr<picker::Picker>(std::move(made));
}

std::shared_ptr<picker::Picker> pool_picker(const PoolsConfiguration& pools, const trace::Tracer* tracer) {
  auto made = make_pool_picker(pools, tracer);
  LLMD_ASSERT(made.has_value(), "the configuration was checked when it was read");
  return std::move(*made);
}

void set_priorities(const picker::Picker& picker,
                    const std::map<std::string, int, std::less<>>& by_objective) {
  std::vector<int> priorities;
  for (const auto& [name, priority] : by_objective) {
    priorities.push_back(priority);
  }
  picker.set_priorities(priorities);
}

}  // namespace llmd::gateway
