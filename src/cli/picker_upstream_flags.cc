#include "cli/picker_upstream_flags.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"

namespace llmd::cli {

void UpstreamFlags::add_to(Options& options) {
  options.add("--zap-log-level", zap_level_, "error, info, debug, or a number; instead of -v");
  options.add("--model-server-metrics-scheme", scheme_, "http or https: of engines' metrics (http)");
  options.add("--model-server-metrics-path", path_, "path of engines' metrics (/metrics)");
  options.add("--model-server-metrics-port", port_, "port of engines' metrics (the endpoint's own)");
  options.add("--model-server-metrics-https-insecure-skip-verify", insecure_,
              "true or false: any certificate of an engine's metrics will do (true)");
  options.add("--total-queued-requests-metric", queued_,
              "engines' metric of requests that wait (vllm:num_requests_waiting)");
  options.add("--total-running-requests-metric", running_,
              "engines' metric of requests that run (vllm:num_requests_running)");
  options.add("--kv-cache-usage-percentage-metric", kv_usage_,
              "engines' metric of KV cache usage, 0 to 1 (vllm:kv_cache_usage_perc)");
  options.add("--lora-info-metric", lora_, "engines' metric of LoRA adapters; empty: none");
  options.add("--cache-info-metric", cache_, "engines' metric of the cache's size (vllm:cache_config_info)");
  const auto accept = [&options](const char* name, std::string& value) {
    options.add(name, value, "no effect; accepted because llm-d's picker has it");
  };
  accept("--zap-devel", zap_devel_);
  accept("--zap-encoder", zap_encoder_);
  accept("--zap-stacktrace-level", zap_stacktrace_);
  accept("--zap-time-encoding", zap_time_);
  accept("--refresh-prometheus-metrics-interval", refresh_);
  accept("--metrics-staleness-threshold", staleness_);
  accept("--enable-pprof", pprof_);
  accept("--grpc-max-send-msg-size", send_size_);
  accept("--grpc-enable-compression", compression_);
  accept("--fairness-id-metric-label-limit", fairness_limit_);
}

void UpstreamFlags::warn() const {
  struct Unused {
    std::string_view flag;
    const std::string& value;
    std::vector<std::string_view> as_it_is;  // values that ask for what happens anyway
    std::string_view why;
  };
  const Unused all[] = {
      {"zap-devel", zap_devel_, {"false"}, "there is one kind of log"},
      {"zap-encoder", zap_encoder_, {"json"}, "the log is JSON lines"},
      {"zap-stacktrace-level", zap_stacktrace_, {}, "the log has no stack traces"},
      {"zap-time-encoding", zap_time_, {"rfc3339", "rfc3339nano", "iso8601"}, "times are RFC 3339"},
      {"refresh-prometheus-metrics-interval", refresh_, {}, "numbers are made when the page is read"},
      {"metrics-staleness-threshold", staleness_, {}, "detectors have a threshold of their own"},
      {"enable-pprof", pprof_, {"false"}, "there is no Go runtime to look into"},
      {"grpc-max-send-msg-size", send_size_, {"0"}, "what is sent is about as large as what came"},
      {"grpc-enable-compression", compression_, {"false"}, "answers are sent as they are"},
      {"fairness-id-metric-label-limit", fairness_limit_, {"1000"}, "the limit is 1000"},
  };
  for (const Unused& each : all) {
    if (!each.value.empty() && std::ranges::find(each.as_it_is, each.value) == each.as_it_is.end()) {
      log::warning("this flag has no effect",
                   {{"flag", each.flag}, {"value", each.value}, {"because", each.why}});
    }
  }
}

Result<void> UpstreamFlags::apply_scraping(PickerArguments& into) const {
  json::Object& source = into.metrics_source;
  if (!scheme_.empty()) {
    source["scheme"] = scheme_;
  }
  if (!path_.empty()) {
    source["path"] = path_;
  }
  if (!port_.empty() && port_ != "0") {
    const auto port = parse_integer(port_);
    if (!port || *port < 1 || *port > 65535) {
      return invalid_argument("model-server-metrics-port: '{}' is not a port", port_);
    }
    source["port"] = *port;
  }
  if (!insecure_.empty()) {
    LLMD_TRY(const bool insecure, parse_switch("model-server-metrics-https-insecure-skip-verify", insecure_));
    source["insecureSkipVerify"] = insecure;
  }
  return {};
}

// They name the metrics of engines without a label that says what they are.
void UpstreamFlags::apply_metric_names(PickerArguments& into) const {
  if (queued_.empty() && running_.empty() && kv_usage_.empty() && cache_.empty() && lora_ == kLora) {
    return;
  }
  const auto or_usual = [](const std::string& given, std::string_view usual) {
    return given.empty() ? std::string(usual) : given;
  };
  json::Object engine;
  engine["name"] = "flags";
  engine["queuedRequestsSpec"] = or_usual(queued_, "vllm:num_requests_waiting");
  engine["runningRequestsSpec"] = or_usual(running_, "vllm:num_requests_running");
  engine["kvUsageSpec"] = or_usual(kv_usage_, "vllm:kv_cache_usage_perc");
  engine["cacheInfoSpec"] = or_usual(cache_, "vllm:cache_config_info");
  engine["cacheBlockSizeLabelName"] = "block_size";
  engine["cacheNumBlocksLabelName"] = "num_gpu_blocks";
  if (!lora_.empty()) {
    engine["loraSpec"] = lora_;
  }
  into.metrics_extractor["defaultEngine"] = "flags";
  into.metrics_extractor["engineConfigs"] = json::Array{std::move(engine)};
}

Result<void> UpstreamFlags::apply(PickerArguments& into) const {
  if (const auto level = parse_integer(zap_level_)) {
    into.verbosity = static_cast<int>(*level);
  } else if (zap_level_ == "debug" || zap_level_ == "trace") {
    into.verbosity = 4;
  } else if (zap_level_ == "error") {
    into.verbosity = -1;
  } else if (!zap_level_.empty() && zap_level_ != "info") {
    return invalid_argument("zap-log-level: expected error, info, debug or a number, got '{}'", zap_level_);
  }
  LLMD_TRY_VOID(apply_scraping(into));
  apply_metric_names(into);
  warn();
  return {};
}

}  // namespace llmd::cli
