// The flags that do something, in the order of the help text.
#include <array>
#include <limits>

#include "base/strings.h"
#include "engine/server/flag.h"
#include "engine/server/kv_events.h"
#include "json/path.h"

namespace llmd::engine {
namespace {

constexpr int kMost = std::numeric_limits<int>::max();
using R = Result<void>;
using O = ServeOptions;

R read_max_model_len(O& options, Values values) {
  if (values.front() == "auto" || values.front() == "-1") {
    options.model.max_model_len = 0;
    return {};
  }
  return read_int(options.model.max_model_len, values, 1, kMost);
}

R read_block_size(O& options, Values values) {
  LLMD_TRY_VOID(read(options.cache.block_size, values));
  for (const int size : {8, 16, 32, 64, 128}) {
    if (options.cache.block_size == size) {
      return {};
    }
  }
  return invalid_argument("must be 8, 16, 32, 64 or 128, got {}", options.cache.block_size);
}

R read_policy(O& options, Values values) {
  constexpr std::array<std::string_view, 2> kPolicies{"fcfs", "priority"};
  std::string policy;
  LLMD_TRY_VOID(read_choice(policy, values, kPolicies));
  options.scheduler.policy = policy == "fcfs" ? Policy::Fcfs : Policy::Priority;
  return {};
}

R read_lora_modules(O& options, Values values) {
  for (const std::string& text : values) {
    LoraModule module;
    if (text.starts_with("{")) {
      LLMD_TRY(const json::Value value, json::parse(text));
      module.name = json::string_at(value, "name").value_or("");
      module.path = json::string_at(value, "path").value_or("");
      module.base_model_name = json::string_at(value, "base_model_name").value_or("");
    } else if (const std::size_t equals = text.find('='); equals != std::string::npos) {
      module = {text.substr(0, equals), text.substr(equals + 1), ""};
    }
    if (module.name.empty() || module.path.empty()) {
      return invalid_argument("expected name=path or {{\"name\": …, \"path\": …}}, got '{}'", text);
    }
    options.lora.modules.push_back(std::move(module));
  }
  return {};
}

R read_seed(O& options, Values values) {
  std::uint64_t seed = 0;
  LLMD_TRY_VOID(read(seed, values));
  options.model.seed = seed;
  options.simulation.seed = seed;
  return {};
}

R read_override(O& options, Values values) {
  LLMD_TRY(const json::Value value, json::parse(values.front()));
  GenerationDefaults& defaults = options.model.override_generation;
  const auto as_int = [&](std::string_view key) -> std::optional<int> {
    const auto number = json::int_at(value, key);
    return number ? std::optional(static_cast<int>(*number)) : std::nullopt;
  };
  defaults.temperature = json::double_at(value, "temperature");
  defaults.top_p = json::double_at(value, "top_p");
  defaults.min_p = json::double_at(value, "min_p");
  defaults.repetition_penalty = json::double_at(value, "repetition_penalty");
  defaults.top_k = as_int("top_k");
  defaults.max_new_tokens = as_int("max_new_tokens");
  return {};
}

R read_max_num_seqs(O& options, Values values) {
  int most = 0;
  LLMD_TRY_VOID(read_int(most, values, 1, 100000));
  options.scheduler.max_num_seqs = most;
  return {};
}

R read_unlogged(O& options, Values values) {
  for (const std::string& list : values) {
    for (const std::string_view path : split(list, ',')) {
      options.http.unlogged_paths.emplace_back(trim(path));
    }
  }
  return {};
}

R no_access_log(O& options, Values values) {
  bool off = false;
  LLMD_TRY_VOID(read(off, values));
  options.http.access_log = !off;
  return {};
}

const Flag kFlags[] = {
    {"model", Shape::Value, "the same as MODEL", [](O& o, Values v) { return read(o.model.model, v); }},
    {"served-model-name", Shape::List, "names that requests may use; the first one labels metrics (MODEL)",
     [](O& o, Values v) { return read(o.model.served_names, v); }},
    {"owned-by", Shape::Value, "owned_by of the model cards (vllm)",
     [](O& o, Values v) { return read(o.model.owned_by, v); }},
    {"tokenizer", Shape::Value, "folder or file with another tokenizer",
     [](O& o, Values v) { return read(o.model.tokenizer, v); }},
    {"max-model-len", Shape::Value, "longest prompt and answer together (what the model was trained for)",
     &read_max_model_len},
    {"seed", Shape::Value, "makes answers to requests without a seed reproducible", &read_seed},
    {"max-logprobs", Shape::Value, "most log-probabilities per token (20)",
     [](O& o, Values v) { return read_int(o.model.max_logprobs, v, 0, kMost); }},
    {"generation-config", Shape::Value, "auto: the model's generation_config.json; vllm: none; or a folder",
     [](O& o, Values v) { return read(o.model.generation_config, v); }},
    {"override-generation-config", Shape::Value, "JSON that replaces values of it", &read_override},
    {"chat-template", Shape::Value, "file or text of the chat template",
     [](O& o, Values v) { return read(o.model.chat_template, v); }},
    {"chat-template-content-format", Shape::Value,
     "auto, string or openai: what the template gets as content",
     [](O& o, Values v) {
       constexpr std::array<std::string_view, 3> kFormats{"auto", "string", "openai"};
       return read_choice(o.model.chat_template_content_format, v, kFormats);
     }},
    {"enable-auto-tool-choice", Shape::Switch, "the model may call tools; needs --tool-call-parser",
     [](O& o, Values v) { return read(o.model.auto_tool_choice, v); }},
    {"tool-call-parser", Shape::Value, "how the model writes tool calls: hermes",
     [](O& o, Values v) {
       constexpr std::array<std::string_view, 1> kParsers{"hermes"};
       return read_choice(o.model.tool_parser, v, kParsers);
     }},
    {"trust-request-chat-template", Shape::Switch, "allows chat_template in requests",
     [](O& o, Values v) { return read(o.model.trust_request_chat_template, v); }},
    {"threads", Shape::Value, "compute threads (one per core)",
     [](O& o, Values v) { return read_int(o.model.threads, v, 0, 1024); }},

    {"block-size", Shape::Value, "tokens per KV cache block: 8, 16, 32, 64 or 128 (16)", &read_block_size},
    {"enable-prefix-caching", Shape::Switch, "reuse of common prompt beginnings (on)",
     [](O& o, Values v) { return read(o.cache.prefix_caching, v); }},
    {"num-gpu-blocks-override", Shape::Value, "KV cache blocks, instead of a memory budget",
     [](O& o, Values v) { return read_int(o.cache.blocks, v, 1, kMost); }},
    {"kv-cache-memory-bytes", Shape::Value, "memory for the KV cache (a part of what is free)",
     [](O& o, Values v) { return read(o.cache.memory_bytes, v); }},

    {"kv-events-config", Shape::Value,
     "JSON: publishes what the prefix cache holds over ZeroMQ, for routers (docs/guide.md)",
     [](O& o, Values v) { return read_kv_events_config(o.kv_events, v.front()); }},

    {"max-num-seqs", Shape::Value, "sequences in one step (32; simulated: 5)", &read_max_num_seqs},
    {"max-num-batched-tokens", Shape::Value, "tokens in one step (as many as fit into 150 ms)",
     [](O& o, Values v) { return read_int(o.scheduler.max_batched_tokens, v, 1, kMost); }},
    {"max-waiting-queue-length", Shape::Value, "requests that may wait; more get 429 (1000)",
     [](O& o, Values v) { return read_int(o.scheduler.max_waiting, v, 0, kMost); }},
    {"enable-chunked-prefill", Shape::Switch, "long prompts in pieces (on)",
     [](O& o, Values v) { return read(o.scheduler.chunked_prefill, v); }},
    {"long-prefill-token-threshold", Shape::Value, "most tokens of one prompt per step (no limit)",
     [](O& o, Values v) { return read_int(o.scheduler.long_prefill_threshold, v, 0, kMost); }},
    {"scheduling-policy", Shape::Value, "fcfs or priority (fcfs)", &read_policy},
    {"stream-interval", Shape::Value, "tokens per streamed chunk after the first (1)",
     [](O& o, Values v) { return read_int(o.scheduler.stream_interval, v, 1, kMost); }},

    {"enable-lora", Shape::Switch, "LoRA adapters", [](O& o, Values v) { return read(o.lora.enabled, v); }},
    {"lora-modules", Shape::List, "adapters to load: name=path, or JSON", &read_lora_modules},
    {"max-loras", Shape::Value, "different adapters in one step (1)",
     [](O& o, Values v) { return read_int(o.lora.max_loras, v, 1, 10000); }},
    {"max-lora-rank", Shape::Value, "largest rank of an adapter (16)",
     [](O& o, Values v) { return read_int(o.lora.max_rank, v, 1, 4096); }},

    {"host", Shape::Value, "address to listen on (loopback; every address inside a Kubernetes pod)",
     [](O& o, Values v) { return read(o.http.host, v); }},
    {"port", Shape::Value, "port to listen on; 0 takes a free one (8000)",
     [](O& o, Values v) { return read_int(o.http.port, v, 0, 65535); }},
    {"api-key", Shape::List, "keys of which requests to /v1 must bring one",
     [](O& o, Values v) { return read(o.http.api_keys, v); }},
    {"ssl-certfile", Shape::Value, "certificate (PEM)",
     [](O& o, Values v) { return read(o.http.certificate, v); }},
    {"ssl-keyfile", Shape::Value, "its key (PEM)", [](O& o, Values v) { return read(o.http.key, v); }},
    {"root-path", Shape::Value, "prefix that a proxy leaves in front of paths",
     [](O& o, Values v) { return read(o.http.root_path, v); }},
    {"max-request-body-size", Shape::Value, "largest request body in bytes (32 MiB)",
     [](O& o, Values v) { return read(o.http.max_body_bytes, v); }},
    {"enable-request-id-headers", Shape::Switch, "X-Request-Id on every answer",
     [](O& o, Values v) { return read(o.http.request_id_headers, v); }},
    {"enable-prompt-tokens-details", Shape::Switch, "cached tokens in usage",
     [](O& o, Values v) { return read(o.http.prompt_tokens_details, v); }},
    {"enable-force-include-usage", Shape::Switch, "usage in every stream",
     [](O& o, Values v) { return read(o.http.force_include_usage, v); }},
    {"return-tokens-as-token-ids", Shape::Switch, "\"token_id:42\" in log-probabilities",
     [](O& o, Values v) { return read(o.http.tokens_as_ids, v); }},
    {"disable-uvicorn-access-log", Shape::Switch, "no log line per request", &no_access_log},
    {"disable-access-log-for-endpoints", Shape::List, "paths without one, separated by commas",
     &read_unlogged},
    {"enable-log-requests", Shape::Switch, "parameters of generations in the log",
     [](O& o, Values v) { return read(o.http.log_requests, v); }},
    {"disable-log-stats", Shape::Switch, "no throughput line every ten seconds",
     [](O& o, Values v) {
       bool off = false;
       const R result = read(off, v);
       o.http.log_stats = !off;
       return result;
     }},
    {"shutdown-timeout", Shape::Value, "seconds that running requests get after SIGTERM (0)",
     [](O& o, Values v) { return read_seconds(o.http.shutdown_timeout, v); }},
    {"simulate", Shape::Switch, "no weights: a timing model and invented text",
     [](O& o, Values v) { return read(o.simulate, v); }},
    {"version",
     Shape::Switch,
     "prints the version",
     [](O& o, Values v) { return read(o.version, v); },
     {},
     {},
     "v"},
    {"help", Shape::Switch, "prints this text", [](O& o, Values v) { return read(o.help, v); }, {}, {}, "h"},
};

}  // namespace

std::span<const Flag> honoured_flags() {
  return kFlags;
}

}  // namespace llmd::engine
