#include "engine/server/engine_metrics.h"

#include <array>
#include <atomic>
#include <ctime>

#include "base/strings.h"

namespace llmd::engine {
namespace {

constexpr std::array kFirstTokenBounds{.001, .005, .01, .02, .04, .06, .08, .1,  .25,  .5,   .75,
                                       1.,   2.5,  5.,  7.5, 10., 20., 40., 80., 160., 640., 2560.};
constexpr std::array kTokenBounds{.01, .025, .05, .075, .1,  .15, .2,  .3,  .4, .5,
                                  .75, 1.,   2.5, 5.,   7.5, 10., 20., 40., 80.};
constexpr std::array kRequestBounds{.3,  .5,  .8,  1.,  1.5,  2.,   2.5,  5.,   10.,   15.,  20.,
                                    30., 40., 50., 60., 120., 240., 480., 960., 1920., 7680.};
constexpr std::array kIterationBounds{1.,   8.,    16.,   32.,   64.,   128.,  256.,
                                      512., 1024., 2048., 4096., 8192., 16384.};
constexpr std::array kChoiceBounds{1., 2., 5., 10., 20.};

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

// Zero when one of the two never happened.
double between(TimePoint from, TimePoint to) {
  return from == TimePoint{} || to == TimePoint{} ? 0 : seconds(to - from);
}

}  // namespace

std::vector<double> one_two_five(int most) {
  std::vector<double> bounds;
  for (long long decade = 1; decade <= most; decade *= 10) {
    for (const long long step : {1, 2, 5}) {
      if (step * decade <= most) {
        bounds.push_back(static_cast<double>(step * decade));
      }
    }
  }
  return bounds;
}

struct EngineMetrics::Series {
  using CounterPtr = std::shared_ptr<metrics::Counter>;
  using HistogramPtr = std::shared_ptr<metrics::Histogram>;

  std::atomic<const Engine*> engine{nullptr};
  CounterPtr prompt_tokens, generation_tokens, prefix_queries, prefix_hits, preemptions, computed_prompt,
      cached_prompt, prompt_tokens_cached;
  std::array<CounterPtr, 4> finished;  // by FinishReason
  HistogramPtr first_token, inter_token, per_output_token, request_per_output_token, e2e, queue, inference,
      prefill, decode, prompt_length, generation_length, max_generation_length, max_tokens, prefill_computed,
      iteration, choices;
  // Only the newest series is shown; its value is the time it was first seen.
  std::string lora_labels;
  double lora_since = 0;
  std::optional<FakeMetrics> fake;
  TimePoint fake_since = {};

  EngineLoad load() const;
  void write_loras(metrics::TextWriter& writer, const EngineLoad& load, int max_loras);
};

EngineLoad EngineMetrics::Series::load() const {
  if (fake) {
    const Duration since = system_clock().now() - fake_since;
    return {.running = static_cast<int>(fake->running_requests.at(since)),
            .waiting = static_cast<int>(fake->waiting_requests.at(since)),
            .cache_usage = fake->kv_cache_usage.at(since)};
  }
  const Engine* const watched = engine.load();
  return watched == nullptr ? EngineLoad{} : watched->load();
}

void EngineMetrics::Series::write_loras(metrics::TextWriter& writer, const EngineLoad& load, int max_loras) {
  constexpr std::string_view kName = "vllm:lora_requests_info";
  writer.family(kName, "LoRA adapters with running and waiting requests; the value is a time.",
                metrics::Type::Gauge);
  const auto labels = [most = std::to_string(max_loras)](std::string_view running, std::string_view waiting) {
    const metrics::Label three[] = {
        {"max_lora", most}, {"running_lora_adapters", running}, {"waiting_lora_adapters", waiting}};
    return metrics::label_text(three);
  };
  if (fake) {
    for (const FakeLora& lora : fake->loras) {
      writer.sample(kName, labels(lora.running, lora.waiting), lora.timestamp);
    }
    return;
  }
  const std::string now = labels(join(load.running_adapters, ","), join(load.waiting_adapters, ","));
  if (now != lora_labels || lora_since == 0) {
    lora_labels = now;
    lora_since = seconds(std::chrono::system_clock::now().time_since_epoch());
  }
  writer.sample(kName, now, lora_since);
}

EngineMetrics::EngineMetrics(metrics::Registry& registry, EngineMetricsOptions options)
    : options_(std::move(options)), series_(std::make_shared<Series>()) {
  make_gauges(registry);
  make_counters(registry);
  make_histograms(registry);
}

EngineMetrics::~EngineMetrics() {
  watch(nullptr);
}

void EngineMetrics::watch(const Engine* engine) {
  series_->engine.store(engine);
}

EngineMetrics::Totals EngineMetrics::totals() const {
  return {series_->prompt_tokens->value(), series_->generation_tokens->value(),
          series_->prefix_queries->value(), series_->prefix_hits->value()};
}

void EngineMetrics::make_gauges(metrics::Registry& registry) {
  const metrics::Label engine_labels[] = {{"engine", "0"}, {"model_name", options_.model_name}};
  const std::string labels = metrics::label_text(engine_labels);
  registry.on_write([series = series_, options = options_, labels](metrics::TextWriter& writer) {
    const EngineLoad load = series->load();
    const auto gauge = [&](std::string_view name, std::string_view help, double value) {
      writer.family(name, help, metrics::Type::Gauge);
      writer.sample(name, labels, value);
    };
    gauge("vllm:num_requests_running", "Requests in the running batch.", load.running);
    gauge("vllm:num_requests_waiting", "Requests that wait for a place in the batch.", load.waiting);
    writer.family("vllm:num_requests_waiting_by_reason", "Waiting requests by what they wait for.",
                  metrics::Type::Gauge);
    writer.sample("vllm:num_requests_waiting_by_reason", labels + R"(,reason="capacity")", load.waiting);
    writer.sample("vllm:num_requests_waiting_by_reason", labels + R"(,reason="deferred")", 0);
    gauge("vllm:kv_cache_usage_perc", "Used part of the KV cache, 0 to 1.", load.cache_usage);
    gauge("vllm:gpu_cache_usage_perc", "Older name of vllm:kv_cache_usage_perc.", load.cache_usage);
    writer.family("vllm:engine_sleep_state", "Whether the engine sleeps.", metrics::Type::Gauge);
    for (const std::string_view state : {"awake", "weights_offloaded", "discard_all"}) {
      writer.sample("vllm:engine_sleep_state", fmt::format(R"({},sleep_state="{}")", labels, state),
                    state == "awake" ? 1 : 0);
    }
    writer.family("vllm:cache_config_info", "Configuration of the KV cache.", metrics::Type::Gauge);
    writer.sample("vllm:cache_config_info",
                  fmt::format(R"(block_size="{}",cache_dtype="auto",enable_prefix_caching="{}",engine="0",)"
                              R"(gpu_memory_utilization="0.9",num_cpu_blocks="None",num_gpu_blocks="{}")",
                              options.block_size, options.prefix_caching ? "True" : "False", options.blocks),
                  1);
    if (options.max_loras > 0) {
      series->write_loras(writer, load, options.max_loras);
    }
  });
}

void EngineMetrics::pretend(const FakeMetrics& fake) {
  Series& s = *series_;
  s.fake = fake;
  s.fake_since = system_clock().now();
  // Whoever is in a bucket is as large as the bucket allows.
  const auto fill = [](metrics::Histogram& histogram, const BucketCounts& counts) {
    const std::span<const double> bounds = histogram.bounds();
    for (std::size_t i = 0; i < std::min(counts.size(), bounds.size() + 1); ++i) {
      const double value = i < bounds.size() ? bounds[i] : 2 * bounds.back();
      for (int n = 0; n < counts[i]; ++n) {
        histogram.observe(value);
      }
    }
  };
  fill(*s.first_token, fake.ttft_buckets_values);
  fill(*s.inter_token, fake.tpot_buckets_values);
  fill(*s.per_output_token, fake.tpot_buckets_values);
  fill(*s.e2e, fake.e2erl_buckets_values);
  fill(*s.queue, fake.queue_time_buckets_values);
  fill(*s.inference, fake.infer_time_buckets_values);
  fill(*s.prefill, fake.prefill_time_buckets_values);
  fill(*s.decode, fake.decode_time_buckets_values);
  fill(*s.prompt_length, fake.request_prompt_tokens);
  fill(*s.generation_length, fake.request_generation_tokens);
  fill(*s.max_tokens, fake.request_params_max_tokens);
  for (std::size_t i = 0; i < s.finished.size(); ++i) {
    const auto count = fake.request_success_total.find(std::string(to_string(static_cast<FinishReason>(i))));
    s.finished[i]->add(count == fake.request_success_total.end() ? 0 : count->second);
  }
  s.prompt_tokens->add(fake.total_prompt_tokens.value_or(0));
  s.generation_tokens->add(fake.total_generation_tokens.value_or(0));
  s.prefix_queries->add(fake.prefix_cache_queries.value_or(0));
  s.prefix_hits->add(fake.prefix_cache_hits.value_or(0));
}

void EngineMetrics::make_counters(metrics::Registry& registry) {
  const auto counter = [&](std::string name, std::string help) {
    return registry.counters(std::move(name), std::move(help), {"engine", "model_name"})
        .with({"0", options_.model_name});
  };
  Series& s = *series_;
  s.prompt_tokens = counter("vllm:prompt_tokens_total", "Prompt tokens processed.");
  s.generation_tokens = counter("vllm:generation_tokens_total", "Tokens generated.");
  s.prefix_queries =
      counter("vllm:prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache.");
  s.prefix_hits = counter("vllm:prefix_cache_hits_total", "Prompt tokens found in the prefix cache.");
  for (const std::string_view name :
       {"external_prefix_cache_queries", "external_prefix_cache_hits", "mm_cache_queries", "mm_cache_hits",
        "corrupted_requests", "admission_rejections", "prompt_tokens_recomputed"}) {
    counter(fmt::format("vllm:{}_total", name), "Always zero: this engine has no such thing.");
  }
  s.prompt_tokens_cached =
      counter("vllm:prompt_tokens_cached_total", "Prompt tokens that were not computed.");
  s.preemptions = counter("vllm:num_preemptions_total", "Requests put back because the cache was full.");
  auto& by_source =
      registry.counters("vllm:prompt_tokens_by_source_total", "Prompt tokens by where they came from.",
                        {"engine", "model_name", "source"});
  s.computed_prompt = by_source.with({"0", options_.model_name, "local_compute"});
  s.cached_prompt = by_source.with({"0", options_.model_name, "local_cache_hit"});
  by_source.with({"0", options_.model_name, "external_kv_transfer"});
  auto& success = registry.counters("vllm:request_success_total", "Finished requests.",
                                    {"engine", "finished_reason", "model_name"});
  for (std::size_t i = 0; i < s.finished.size(); ++i) {
    s.finished[i] = success.with({"0", to_string(static_cast<FinishReason>(i)), options_.model_name});
  }
  success.with({"0", "repetition", options_.model_name});
}

void EngineMetrics::make_histograms(metrics::Registry& registry) {
  const auto histogram = [&](std::string name, std::string help, std::span<const double> bounds) {
    return registry.histograms(std::move(name), std::move(help), {"engine", "model_name"}, bounds)
        .with({"0", options_.model_name});
  };
  Series& s = *series_;
  const std::vector<double> lengths = one_two_five(options_.max_model_len);
  s.iteration =
      histogram("vllm:iteration_tokens_total", "Tokens computed per engine step.", kIterationBounds);
  s.first_token =
      histogram("vllm:time_to_first_token_seconds", "From arrival to the first token.", kFirstTokenBounds);
  s.inter_token =
      histogram("vllm:inter_token_latency_seconds", "Between two tokens of a request.", kTokenBounds);
  s.per_output_token = histogram("vllm:time_per_output_token_seconds",
                                 "Older name of vllm:inter_token_latency_seconds.", kTokenBounds);
  s.request_per_output_token = histogram("vllm:request_time_per_output_token_seconds",
                                         "Mean time per token of a request.", kTokenBounds);
  s.e2e = histogram("vllm:e2e_request_latency_seconds", "From arrival to the end.", kRequestBounds);
  s.queue = histogram("vllm:request_queue_time_seconds", "Waiting for the first step.", kRequestBounds);
  s.inference =
      histogram("vllm:request_inference_time_seconds", "From the first step to the end.", kRequestBounds);
  s.prefill = histogram("vllm:request_prefill_time_seconds", "From the first step to the first token.",
                        kRequestBounds);
  s.decode =
      histogram("vllm:request_decode_time_seconds", "From the first token to the end.", kRequestBounds);
  s.prompt_length = histogram("vllm:request_prompt_tokens", "Prompt tokens per request.", lengths);
  s.generation_length = histogram("vllm:request_generation_tokens", "Generated tokens per request.", lengths);
  s.max_generation_length =
      histogram("vllm:request_max_num_generation_tokens", "Longest choice per request.", lengths);
  s.max_tokens = histogram("vllm:request_params_max_tokens", "max_tokens per request.", lengths);
  s.prefill_computed =
      histogram("vllm:request_prefill_kv_computed_tokens", "Prompt tokens computed per request.", lengths);
  s.choices = histogram("vllm:request_params_n", "n per request.", kChoiceBounds);
}

void EngineMetrics::on_step(const StepReport& report) {
  series_->iteration->observe(report.tokens);
  if (report.preempted > 0) {
    series_->preemptions->add(report.preempted);
  }
}

void EngineMetrics::on_admitted(int prompt_tokens, int cached_tokens) {
  series_->prompt_tokens->add(prompt_tokens);
  series_->prefix_queries->add(options_.prefix_caching ? prompt_tokens : 0);
  series_->prefix_hits->add(cached_tokens);
  series_->prompt_tokens_cached->add(cached_tokens);
  series_->cached_prompt->add(cached_tokens);
  series_->computed_prompt->add(prompt_tokens - cached_tokens);
}

void EngineMetrics::on_token(bool first, Duration gap) {
  series_->generation_tokens->add(1);
  if (first) {
    series_->first_token->observe(seconds(gap));
  } else {
    series_->inter_token->observe(seconds(gap));
    series_->per_output_token->observe(seconds(gap));
  }
}

void EngineMetrics::on_finished(const Sequence& sequence, int choices, const Timeline& times,
                                FinishReason reason, TimePoint now) {
  Series& s = *series_;
  s.finished[static_cast<std::size_t>(reason)]->add(1);
  const int output = sequence.output_length();
  s.e2e->observe(between(times.arrival, now));
  s.queue->observe(between(times.queued, times.scheduled));
  s.prefill->observe(between(times.scheduled, times.first_token));
  s.decode->observe(between(times.first_token, times.last_token));
  s.inference->observe(between(times.scheduled, times.last_token));
  if (output > 1) {
    s.request_per_output_token->observe(between(times.first_token, times.last_token) / (output - 1));
  }
  s.prompt_length->observe(sequence.prompt_length);
  s.generation_length->observe(output);
  s.max_generation_length->observe(output);
  s.max_tokens->observe(sequence.params.max_tokens);
  s.prefill_computed->observe(sequence.prompt_length - std::max(0, sequence.cached_tokens));
  s.choices->observe(choices);
}

}  // namespace llmd::engine
