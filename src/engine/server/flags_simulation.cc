// The flags of --simulate, spelled as llm-d-inference-sim spells them.
#include <array>

#include "base/strings.h"
#include "engine/server/flag.h"

namespace llmd::engine {
namespace {

using R = Result<void>;
using O = ServeOptions;

R read_mode(O& options, Values values) {
  constexpr std::array<std::string_view, 2> kModes{"random", "echo"};
  std::string mode;
  LLMD_TRY_VOID(read_choice(mode, values, kModes));
  options.simulation.mode = mode == "echo" ? sim::Mode::Echo : sim::Mode::Random;
  return {};
}

R read_failure_types(O& options, Values values) {
  constexpr std::array<std::string_view, 6> kTypes{"rate_limit",   "invalid_api_key", "context_length",
                                                   "server_error", "invalid_request", "model_not_found"};
  for (const std::string& list : values) {
    for (const std::string_view piece : split(list, ',')) {
      const std::string type(trim(piece));
      std::string checked;
      LLMD_TRY_VOID(read_choice(checked, std::span(&type, 1), kTypes));
      options.simulation.failures.types.push_back(checked);
    }
  }
  return {};
}

R read_factor(O& options, Values values) {
  LLMD_TRY_VOID(read(options.simulation.timing.factor_under_load, values));
  if (options.simulation.timing.factor_under_load < 1) {
    return invalid_argument("must be at least 1, got {}", values.front());
  }
  return {};
}

R read_megabytes(O& options, Values values) {
  std::uint64_t megabytes = 0;
  LLMD_TRY_VOID(read(megabytes, values));
  options.http.max_body_bytes = megabytes << 20U;
  return {};
}

R read_zmq_endpoint(O& options, Values values) {
  options.kv_events.enabled = true;
  options.kv_events.connect = true;
  return read(options.kv_events.endpoint, values);
}

R read_replay_queue(O& options, Values values) {
  int batches = 0;
  LLMD_TRY_VOID(read_int(batches, values, 0, 1 << 30));
  options.kv_events.buffer_steps = static_cast<std::size_t>(batches);
  return {};
}

R read_fake_metrics(O& options, Values values) {
  LLMD_TRY(options.fake_metrics, parse_fake_metrics(values.front()));
  return {};
}

const Flag kFlags[] = {
    {"mode", Shape::Value, "random, or echo: the last message comes back (random)", &read_mode},
    {"time-to-first-token", Shape::Value, "until the first token (0)",
     [](O& o, Values v) { return read_milliseconds(o.simulation.timing.time_to_first_token.mean, v); }},
    {"time-to-first-token-std-dev", Shape::Value, "its standard deviation, at most 30 % of it",
     [](O& o, Values v) { return read_milliseconds(o.simulation.timing.time_to_first_token.deviation, v); }},
    {"inter-token-latency", Shape::Value, "between two tokens (0)",
     [](O& o, Values v) { return read_milliseconds(o.simulation.timing.inter_token_latency.mean, v); }},
    {"inter-token-latency-std-dev", Shape::Value, "its standard deviation",
     [](O& o, Values v) { return read_milliseconds(o.simulation.timing.inter_token_latency.deviation, v); }},
    {"prefill-overhead", Shape::Value, "without a time to first token: its fixed part",
     [](O& o, Values v) { return read_milliseconds(o.simulation.timing.prefill_overhead, v); }},
    {"prefill-time-per-token", Shape::Value, "and its part per prompt token that is not cached",
     [](O& o, Values v) { return read_milliseconds(o.simulation.timing.prefill_time_per_token, v); }},
    {"prefill-time-std-dev", Shape::Value, "and its standard deviation",
     [](O& o, Values v) { return read_milliseconds(o.simulation.timing.prefill_deviation, v); }},
    {"one-prefill-at-a-time", Shape::Switch, "prompts wait for each other (off); llmd only",
     [](O& o, Values v) { return read(o.simulation.timing.one_prefill_at_a_time, v); }},
    {"time-factor-under-load", Shape::Value, "all times are this much longer with every slot busy (1)",
     &read_factor},
    {"kv-cache-size", Shape::Value, "KV cache blocks (1024)",
     [](O& o, Values v) { return read_int(o.cache.blocks, v, 1, 1 << 30); }},
    {"enable-kvcache", Shape::Switch, "the same as --enable-prefix-caching",
     [](O& o, Values v) { return read(o.cache.prefix_caching, v); }},
    {"zmq-endpoint", Shape::Value, "connects there and publishes KV events; see --kv-events-config",
     &read_zmq_endpoint},
    {"kv-events-replay-endpoint", Shape::Value, "where missed KV events can be asked for again",
     [](O& o, Values v) { return read(o.kv_events.replay_endpoint, v); }},
    {"kv-events-replay-queue-size", Shape::Value, "batches kept for that (10000)", &read_replay_queue},
    {"use-vllm-map-event-format", Shape::Switch, "KV events as vLLM encodes them from 0.24 on",
     [](O& o, Values v) { return read(o.kv_events.as_maps, v); }},
    {"failure-injection-rate", Shape::Value, "percent of generations that fail (0)",
     [](O& o, Values v) { return read_int(o.simulation.failures.rate, v, 0, 100); }},
    {"failure-types", Shape::List, "how they fail (any of them)", &read_failure_types},
    {"startup-duration", Shape::Value, "until the server is ready (0)",
     [](O& o, Values v) { return read_milliseconds(o.simulation.startup, v); }},
    {"max-request-body-size-mb", Shape::Value, "largest request body in MiB", &read_megabytes},
    {"log-http", Shape::Switch, "a log line per request (off in simulation)",
     [](O& o, Values v) { return read(o.simulation.log_http, v); }},
    {"fake-metrics", Shape::Value, "JSON: what /metrics says instead of the truth", &read_fake_metrics},
    {"fake-metrics-refresh-interval", Shape::Value, {}, nullptr, "they are computed whenever somebody looks"},
    {"latency-calculator",
     Shape::Value,
     {},
     nullptr,
     "the flags that are given decide: a time to first token, or overhead and time per token"},
    {"kv-cache-transfer-latency", Shape::Value, {}, nullptr, "there is no KV transfer"},
    {"kv-cache-transfer-latency-std-dev", Shape::Value, {}, nullptr, "there is no KV transfer"},
    {"kv-cache-transfer-time-per-token", Shape::Value, {}, nullptr, "there is no KV transfer"},
    {"kv-cache-transfer-time-std-dev", Shape::Value, {}, nullptr, "there is no KV transfer"},
    {"hash-seed", Shape::Value, {}, nullptr, "routers do not depend on an engine's own hashes"},
    {"event-batch-size", Shape::Value, {}, nullptr, "a step's KV events are one batch"},
    {"force-dummy-tokenizer", Shape::Switch, {}, nullptr, "the simulation always has its own tokenizer"},
};

}  // namespace

std::span<const Flag> simulation_flags() {
  return kFlags;
}

}  // namespace llmd::engine
