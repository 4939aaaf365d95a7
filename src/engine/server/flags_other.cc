// Flags that vLLM knows and that change nothing here, or that cannot be granted.
#include <array>

#include "engine/server/flag.h"

namespace llmd::engine {
namespace {

using R = Result<void>;
using O = ServeOptions;

constexpr std::string_view kGpu = "it is about GPUs";
constexpr std::string_view kHub = "models come from folders and files; nothing is downloaded";
constexpr std::string_view kPython = "it is about vLLM's Python server";
constexpr std::string_view kMultimodal = "models here read text only";
constexpr std::string_view kMany =
    "one engine is one process on one machine; run several and put the gateway in front";
constexpr std::string_view kTransfer = "KV blocks are not transferred; prompts are computed locally";

// Only one of something exists.
R only_one(O&, Values values) {
  int n = 0;
  LLMD_TRY_VOID(read(n, values));
  if (n != 1) {
    return invalid_argument("only 1 is possible, got {}: {}", n, kMany);
  }
  return {};
}

R only_zero(O&, Values values) {
  int n = 0;
  LLMD_TRY_VOID(read(n, values));
  if (n != 0) {
    return invalid_argument("only 0 is possible, got {}: {}", n, kMany);
  }
  return {};
}

R text_generation_only(O&, Values values) {
  if (values.front() != "auto" && values.front() != "generate") {
    return invalid_argument("only 'generate' is possible, got '{}'", values.front());
  }
  return {};
}

R any_load_format(O&, Values values) {
  constexpr std::array<std::string_view, 3> kFormats{"auto", "safetensors", "gguf"};
  std::string format;
  return read_choice(format, values, kFormats);
}

R cache_in_full(O&, Values values) {
  if (values.front() != "auto" && values.front() != "bfloat16" && values.front() != "float32") {
    return invalid_argument("a quantised KV cache is not implemented: '{}'", values.front());
  }
  return {};
}

const Flag kFlags[] = {
    {"tensor-parallel-size", Shape::Value, {}, &only_one, {}, {}, "tp"},
    {"pipeline-parallel-size", Shape::Value, {}, &only_one, {}, {}, "pp"},
    {"data-parallel-size", Shape::Value, {}, &only_one, {}, {}, "dp"},
    {"data-parallel-size-local", Shape::Value, {}, &only_one, {}, {}, "dpl"},
    {"data-parallel-rank", Shape::Value, {}, &only_zero, {}, {}, "dpn"},
    {"data-parallel-start-rank", Shape::Value, {}, &only_zero, {}, {}, "dpr"},
    {"nnodes", Shape::Value, {}, &only_one},
    {"node-rank", Shape::Value, {}, &only_zero},
    {"runner", Shape::Value, {}, &text_generation_only},
    {"task", Shape::Value, {}, &text_generation_only},
    {"load-format", Shape::Value, {}, &any_load_format},
    {"kv-cache-dtype", Shape::Value, {}, &cache_in_full},
    {"headless", Shape::Switch, {}, nullptr, {}, kMany},
    {"uds",
     Shape::Value,
     {},
     nullptr,
     {},
     "serving on a Unix socket is not implemented; use --host and --port"},
    {"enable-sleep-mode", Shape::Switch, {}, nullptr, {}, "sleeping is not implemented"},
    {"reasoning-parser", Shape::Value, {}, nullptr, {}, "reasoning parsers are not implemented"},
    {"speculative-config", Shape::Value, {}, nullptr, {}, "speculative decoding is not implemented"},
    {"hf-overrides", Shape::Value, {}, nullptr, {}, "the model's configuration is used as it is"},
    {"rope-scaling", Shape::Value, {}, nullptr, {}, "the model's configuration is used as it is"},
    {"rope-theta", Shape::Value, {}, nullptr, {}, "the model's configuration is used as it is"},
    {"ssl-ca-certs", Shape::Value, {}, nullptr, {}, "client certificates are not implemented"},
    {"ssl-cert-reqs", Shape::Value, {}, nullptr, {}, "client certificates are not implemented"},

    {"kv-transfer-config", Shape::Value, {}, nullptr, kTransfer},
    {"ec-transfer-config", Shape::Value, {}, nullptr, kMultimodal},
    {"data-parallel-address", Shape::Value, {}, nullptr, kMany, {}, "dpa"},
    {"data-parallel-rpc-port", Shape::Value, {}, nullptr, kMany, {}, "dpp"},
    {"data-parallel-backend", Shape::Value, {}, nullptr, kMany},
    {"data-parallel-hybrid-lb", Shape::Switch, {}, nullptr, kMany},
    {"data-parallel-external-lb", Shape::Switch, {}, nullptr, kMany},
    {"master-addr", Shape::Value, {}, nullptr, kMany},
    {"master-port", Shape::Value, {}, nullptr, kMany},
    {"distributed-executor-backend", Shape::Value, {}, nullptr, kMany},
    {"enable-expert-parallel", Shape::Switch, {}, nullptr, kMany},
    {"api-server-count", Shape::Value, {}, nullptr, kMany},
    {"enable-eplb", Shape::Switch, {}, nullptr, kMany},
    {"eplb-config", Shape::Value, {}, nullptr, kMany},
    {"all2all-backend", Shape::Value, {}, nullptr, kMany},
    {"disable-custom-all-reduce", Shape::Switch, {}, nullptr, kMany},
    {"decode-context-parallel-size", Shape::Value, {}, &only_one},

    {"dtype", Shape::Value, {}, nullptr, "weights are computed in the format of their file"},
    {"quantization", Shape::Value, {}, nullptr, "weights are computed in the format of their file", {}, "q"},
    {"tokenizer-mode", Shape::Value, {}, nullptr, "there is one tokenizer implementation"},
    {"trust-remote-code", Shape::Switch, {}, nullptr, "no code of a model is ever run"},
    {"revision", Shape::Value, {}, nullptr, kHub},
    {"code-revision", Shape::Value, {}, nullptr, kHub},
    {"tokenizer-revision", Shape::Value, {}, nullptr, kHub},
    {"download-dir", Shape::Value, {}, nullptr, kHub},
    {"hf-token", Shape::Value, {}, nullptr, kHub},
    {"hf-config-path", Shape::Value, {}, nullptr, kHub},
    {"config-format", Shape::Value, {}, nullptr, kHub},
    {"convert", Shape::Value, {}, nullptr, "models generate text"},
    {"skip-tokenizer-init", Shape::Switch, {}, nullptr, "the tokenizer is always there"},
    {"logprobs-mode", Shape::Value, {}, nullptr, "log-probabilities are the model's own (raw_logprobs)"},
    {"prefix-caching-hash-algo",
     Shape::Value,
     {},
     nullptr,
     "blocks are hashed with XXH3-128 and compared by tokens"},
    {"gpu-memory-utilization", Shape::Value, {}, nullptr, kGpu},
    {"swap-space", Shape::Value, {}, nullptr, kGpu},
    {"cpu-offload-gb", Shape::Value, {}, nullptr, kGpu},
    {"kv-sharing-fast-prefill", Shape::Switch, {}, nullptr, kGpu},
    {"calculate-kv-scales", Shape::Switch, {}, nullptr, kGpu},
    {"enforce-eager", Shape::Switch, {}, nullptr, kGpu},
    {"compilation-config", Shape::Value, {}, nullptr, kGpu, {}, "O"},
    {"cuda-graph-sizes", Shape::List, {}, nullptr, kGpu},
    {"device", Shape::Value, {}, nullptr, kGpu},
    {"attention-backend", Shape::Value, {}, nullptr, kGpu},
    {"enable-dbo", Shape::Switch, {}, nullptr, kGpu},
    {"async-scheduling", Shape::Switch, {}, nullptr, "the scheduler is one thread"},
    {"disable-hybrid-kv-cache-manager", Shape::Switch, {}, nullptr, "there is one kind of cache"},
    {"disable-sliding-window", Shape::Switch, {}, nullptr, "no supported model has a window"},
    {"scheduler-cls", Shape::Value, {}, nullptr, kPython},
    {"num-scheduler-steps", Shape::Value, {}, nullptr, "every step is scheduled"},
    {"max-num-partial-prefills", Shape::Value, {}, nullptr, "prompts share the budget of a step in order"},
    {"max-long-partial-prefills", Shape::Value, {}, nullptr, "prompts share the budget of a step in order"},
    {"max-cpu-loras", Shape::Value, {}, nullptr, "all loaded adapters stay in memory"},
    {"lora-dtype", Shape::Value, {}, nullptr, "adapters are computed in float"},
    {"fully-sharded-loras", Shape::Switch, {}, nullptr, kMany},
    {"lora-extra-vocab-size", Shape::Value, {}, nullptr, "adapters with extra tokens are not supported"},
    {"default-mm-loras", Shape::Value, {}, nullptr, kMultimodal},
    {"limit-mm-per-prompt", Shape::Value, {}, nullptr, kMultimodal},
    {"mm-processor-kwargs", Shape::Value, {}, nullptr, kMultimodal},
    {"mm-processor-cache-gb", Shape::Value, {}, nullptr, kMultimodal},
    {"enable-mm-embeds", Shape::Switch, {}, nullptr, kMultimodal},
    {"allowed-origins", Shape::Value, {}, nullptr, "browsers of other origins are not served"},
    {"allowed-methods", Shape::Value, {}, nullptr, "browsers of other origins are not served"},
    {"allowed-headers", Shape::Value, {}, nullptr, "browsers of other origins are not served"},
    {"allow-credentials", Shape::Switch, {}, nullptr, "browsers of other origins are not served"},
    {"enable-ssl-refresh", Shape::Switch, {}, nullptr, "certificates are read at the start"},
    {"response-role", Shape::Value, {}, nullptr, "answers are the assistant's"},
    {"enable-server-load-tracking", Shape::Switch, {}, nullptr, "GET /load always counts"},
    {"disable-log-requests",
     Shape::Switch,
     {},
     nullptr,
     "requests are logged only with --enable-log-requests"},
    {"enable-log-outputs", Shape::Switch, {}, nullptr, "answers are never logged"},
    {"max-log-len", Shape::Value, {}, nullptr, "prompts are never logged"},
    {"otlp-traces-endpoint", Shape::Value, {}, nullptr, "traces are not exported"},
    {"collect-detailed-traces", Shape::Value, {}, nullptr, "traces are not exported"},
    {"show-hidden-metrics-for-version", Shape::Value, {}, nullptr, "older metric names are always shown"},
    {"enable-tokenizer-info-endpoint", Shape::Switch, {}, nullptr, "there is no /tokenizer_info"},
    {"enable-per-request-metrics", Shape::Switch, {}, nullptr, "answers carry no timings"},
    {"middleware", Shape::List, {}, nullptr, kPython},
    {"h11-max-incomplete-event-size", Shape::Value, {}, nullptr, kPython},
    {"h11-max-header-count", Shape::Value, {}, nullptr, kPython},
    {"disable-fastapi-docs", Shape::Switch, {}, nullptr, kPython},
    {"uvicorn-log-level", Shape::Value, {}, nullptr, kPython},
    {"disable-frontend-multiprocessing", Shape::Switch, {}, nullptr, kPython},
    {"tool-parser-plugin", Shape::Value, {}, nullptr, kPython},
    {"log-config-file", Shape::Value, {}, nullptr, kPython},
};

}  // namespace

std::span<const Flag> other_flags() {
  return kFlags;
}

}  // namespace llmd::engine
