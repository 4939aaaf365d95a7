#include "engine/server/simulation.h"

#include <array>

#include "engine/core/random.h"
#include "engine/server/model_path.h"
#include "engine/sim/sim_tokenizer.h"
#include "json/path.h"

namespace llmd::engine {
namespace {

constexpr int kMaxRunning = 5;
constexpr int kMaxModelLen = 1024;
constexpr int kBlocks = 1024;

// Role and text of each message, in lines.
Result<std::string> plain_format(const tokenizer::ChatInput& input, const std::string&) {
  std::string text;
  for (const json::Value& message : input.messages) {
    text += json::string_at(message, "role").value_or("");
    text += ": ";
    const json::Value* content = message.as_object().if_contains("content");
    if (content != nullptr && content->is_string()) {
      text += std::string_view(content->get_string());
    } else if (content != nullptr && content->is_array()) {
      for (const json::Value& part : content->get_array()) {
        text += part.is_string() ? std::string_view(part.get_string())
                                 : json::string_at(part, "text").value_or("");
      }
    }
    text += '\n';
  }
  return text;
}

struct Failure {
  std::string_view type;
  int status;
  std::string_view message;
  std::string_view param;
};

constexpr std::array<Failure, 6> kFailures{{
    {"rate_limit", 429, "Rate limit reached for the model {}.", ""},
    {"invalid_api_key", 401, "The API key is not valid (model {}).", ""},
    {"context_length", 400, "This model's maximum context length is exceeded ({}).", "messages"},
    {"server_error", 503, "The server is overloaded or not ready yet ({}).", ""},
    {"invalid_request", 400, "A required parameter is missing (model {}).", "model"},
    {"model_not_found", 404, "The model `{}` does not exist.", "model"},
}};

ApiError error_of(const Failure& failure, std::string_view model) {
  return {failure.status, std::string(error_type(failure.status)),
          fmt::format(fmt::runtime(failure.message), model),
          failure.param.empty() ? std::nullopt : std::optional(std::string(failure.param))};
}

}  // namespace

EngineCoreConfig simulated_core(const ServeOptions& options) {
  EngineCoreConfig core = core_config(options, kMaxRunning);
  core.max_batched_tokens = core.max_batched_tokens > 0 ? core.max_batched_tokens : 1 << 30;
  core.max_model_len = options.model.max_model_len > 0 ? options.model.max_model_len : kMaxModelLen;
  // A cache smaller than the context would make one request wait for ever.
  core.blocks = std::max(options.cache.blocks > 0 ? options.cache.blocks : kBlocks,
                         (core.max_model_len + core.block_size - 1) / core.block_size);
  return core;
}

Result<SimulatedParts> simulate_engine(async::EventLoop& loop, const ServeOptions& options,
                                       metrics::Registry& registry, CacheListener* cache) {
  auto served = served_model(options);
  served->tokenizer = std::make_shared<sim::SimTokenizer>();
  served->format_chat = &plain_format;
  EngineCoreConfig core = simulated_core(options);
  served->max_model_len = core.max_model_len;
  SimulatedParts parts;
  parts.metrics =
      std::make_unique<EngineMetrics>(registry, EngineMetricsOptions{.model_name = served->names.front(),
                                                                     .max_model_len = core.max_model_len,
                                                                     .block_size = core.block_size,
                                                                     .blocks = core.blocks,
                                                                     .prefix_caching = core.prefix_caching,
                                                                     .max_loras = options.lora.max_loras});
  Observer* observer = parts.metrics.get();
  if (options.fake_metrics) {
    parts.metrics->pretend(*options.fake_metrics);
    parts.nobody = std::make_unique<NullObserver>();
    observer = parts.nobody.get();
  }
  const auto max_live = static_cast<std::size_t>(core.scheduler.max_running + options.scheduler.max_waiting);
  parts.engine = std::make_unique<sim::SimulatedEngine>(
      loop, options.simulation, core, max_live,
      sim::SimulatedEngine::Parts{served->tokenizer, *observer, cache});
  parts.metrics->watch(parts.engine.get());
  parts.model = std::move(served);
  return parts;
}

std::function<std::optional<ApiError>()> failure_source(const sim::Options& options, std::string model) {
  if (options.failures.rate == 0) {
    return {};
  }
  std::vector<ApiError> errors;
  for (const Failure& failure : kFailures) {
    const auto& types = options.failures.types;
    if (types.empty() || std::ranges::find(types, failure.type) != types.end()) {
      errors.push_back(error_of(failure, model));
    }
  }
  return [errors, rate = options.failures.rate, seed = options.seed,
          count = std::uint64_t{0}]() mutable -> std::optional<ApiError> {
    const std::uint64_t now = count++;
    if (random_unit(seed, 2 * now) * 100 >= rate) {
      return std::nullopt;
    }
    return errors[random_bits(seed, 2 * now + 1) % errors.size()];
  };
}

std::vector<std::pair<std::string, std::string>> replica_headers(int port) {
  const Environment environment = process_environment();
  std::vector<std::pair<std::string, std::string>> headers;
  if (const auto pod = environment("POD_NAME")) {
    headers.emplace_back("x-inference-pod", *pod);
    headers.emplace_back("x-inference-port", std::to_string(port));
  }
  if (const auto space = environment("POD_NAMESPACE")) {
    headers.emplace_back("x-inference-namespace", *space);
  }
  return headers;
}

}  // namespace llmd::engine
