#include "picker/plugins/predicted_latency.h"

#include <algorithm>
#include <bit>

#include "base/strings.h"
#include "picker/latency_model.h"
#include "picker/metrics/latency_metrics.h"
#include "picker/plugins/latency_plugins.h"
#include "picker/prefill_backlog.h"

namespace llmd::picker {
namespace {

struct LatencyOptions {
  double slo_buffer = 1;
  bool streaming = false;
  std::string role_label;
  std::optional<Column>
      encoded;  // the share of a request's media that an endpoint has; absent: not looked at
};

double objective(const Request& request, std::string_view name, std::string_view older_name) {
  for (const std::string_view header : {name, older_name}) {
    if (const auto text = request.headers.find(header)) {
      return parse_number(*text).value_or(0);
    }
  }
  return 0;
}

class PredictedLatencyProducer final : public Producer,
                                       public RequestHook,
                                       public Inspectable,
                                       public Measured {
 public:
  PredictedLatencyProducer(LatencyOptions options, PrefixColumns prefix, LatencyColumns columns,
                           const Clock& clock)
      : options_(std::move(options)), prefix_(prefix), columns_(columns), clock_(clock) {}

  void produce(Cycle& cycle) const override {
    const Request& request = cycle.request();
    const double ttft_slo = objective(request, "x-llm-d-slo-ttft-ms", "x-slo-ttft-ms");
    const double tpot_slo = objective(request, "x-llm-d-slo-tpot-ms", "x-slo-tpot-ms") * options_.slo_buffer;
    const auto known = cycle.fill(columns_.known);
    const auto ttft = cycle.fill(columns_.ttft);
    const auto tpot = cycle.fill(columns_.tpot);
    const auto ttft_headroom = cycle.fill(columns_.ttft_headroom);
    const auto tpot_headroom = cycle.fill(columns_.tpot_headroom);
    const auto valid = cycle.fill(columns_.valid);
    bool any = false;
    const auto began = std::chrono::steady_clock::now();
    const PrefillBacklog::View backlog = backlog_.at(cycle.now());
    for (const Row row : cycle.candidates()) {
      const auto predicted = model_.predict(features(cycle, row, backlog));
      if (!predicted) {
        continue;
      }
      any = true;
      known[row] = 1;
      ttft[row] = static_cast<float>(predicted->ttft_ms);
      tpot[row] = static_cast<float>(predicted->tpot_ms);
      ttft_headroom[row] = static_cast<float>(ttft_slo - predicted->ttft_ms);
      const bool judges_tpot = options_.streaming && !is_prefill(cycle.described(row));
      tpot_headroom[row] = judges_tpot ? static_cast<float>(tpot_slo - predicted->tpot_ms) : 0.0F;
      valid[row] = predicted->ttft_ms < ttft_slo && (!judges_tpot || predicted->tpot_ms < tpot_slo) ? 1 : 0;
    }
    if (any) {
      metrics_.predicted(request.model, request.target(), std::chrono::steady_clock::now() - began);
    }
  }

  void dispatched(const Cycle& cycle, const Stages& stages, Decision& decision) const override {
    const Row chosen = stages.primary.front();
    const auto features = this->features(cycle, chosen, backlog_.at(cycle.now()));
    std::ranges::copy(features.values, decision.memory.features.begin());
    decision.memory.featured = true;
    keep(backlog_.add(cycle.endpoint(chosen).id, uncached_tokens(cycle, chosen), cycle.now()),
         decision.memory);
    if (cycle.at(columns_.known, chosen) > 0) {
      decision.memory.predicted_ttft_ms = cycle.at(columns_.ttft, chosen);
      decision.memory.predicted_tpot_ms = cycle.at(columns_.tpot, chosen);
    }
    const Request& request = cycle.request();
    decision.memory.ttft_slo_ms =
        static_cast<float>(objective(request, "x-llm-d-slo-ttft-ms", "x-slo-ttft-ms"));
    decision.memory.tpot_slo_ms =
        static_cast<float>(objective(request, "x-llm-d-slo-tpot-ms", "x-slo-tpot-ms"));
  }

  void response_headers(Decision& decision, int status, const HeaderView&, HeaderEdits&) const override {
    if (status >= 300) {
      forget(decision);  // no answer, no time to learn
    }
  }

  void first_token(Decision& decision) const override {
    Decision::Memory& memory = decision.memory;
    memory.first_token = clock_.now();  // by the clock that decisions are made by
    if (!memory.featured || !memory.stream) {
      return;
    }
    backlog_.read(ticket_of(memory), clock_.now());
    model_.learn_ttft(features_of(memory), milliseconds(memory.first_token - memory.decided));
  }

  void completed(Decision& decision, const Completion& completion) const override {
    const Decision::Memory& memory = decision.memory;
    const bool saw_first = memory.first_token != TimePoint();
    if (!memory.featured) {
      return;
    }
    if (completion.cause != EndCause::Natural || completion.status >= 300) {
      forget(decision);
      return;
    }
    const TimePoint now = clock_.now();
    LatencyMetrics::Observed observed{.memory = memory};
    if (!memory.stream) {
      observed.ttft_ms = milliseconds((saw_first ? memory.first_token : now) - memory.decided);
      backlog_.read(ticket_of(memory), now);
      model_.learn_ttft(features_of(memory), observed.ttft_ms);
    } else if (saw_first) {
      observed.ttft_ms = milliseconds(memory.first_token - memory.decided);
      const std::int64_t tokens = tokens_of(memory, completion);
      if (tokens > 1) {
        observed.tpot_ms = milliseconds(now - memory.first_token) / static_cast<double>(tokens - 1);
        model_.learn_tpot(features_of(memory), observed.tpot_ms);
      }
    }
    metrics_.observe(observed);
  }

  void write(Page& page) const override { metrics_.write(page, name, type); }

  json::Value state() const override { return model_.state(); }

 private:
  bool is_prefill(const Endpoint& endpoint) const {
    const std::string* role = options_.role_label.empty() ? nullptr : endpoint.label(options_.role_label);
    return role != nullptr && *role == "prefill";
  }

  static double milliseconds(Duration duration) {
    return std::chrono::duration<double, std::milli>(duration).count();
  }

  // Pieces of the stream where nobody counts tokens, as the original does.
  static std::int64_t tokens_of(const Decision::Memory& memory, const Completion& completion) {
    return completion.usage.completion_tokens.value_or(
        completion.events > 0 ? completion.events : static_cast<std::int64_t>(memory.pieces));
  }

  // Behind the features there is room for the ticket's two numbers.
  static constexpr std::size_t kTicket = LatencyFeatures::kCount;

  static void keep(PrefillBacklog::Ticket ticket, Decision::Memory& memory) {
    memory.features[kTicket] = std::bit_cast<float>(ticket.endpoint);
    memory.features[kTicket + 1] = std::bit_cast<float>(ticket.number);
  }

  static PrefillBacklog::Ticket ticket_of(const Decision::Memory& memory) {
    return {std::bit_cast<std::uint32_t>(memory.features[kTicket]),
            std::bit_cast<std::uint32_t>(memory.features[kTicket + 1])};
  }

  static LatencyFeatures features_of(const Decision::Memory& memory) {
    LatencyFeatures features;
    static_assert(kTicket + 2 <= std::tuple_size_v<decltype(memory.features)>);
    std::copy_n(memory.features.begin(), features.values.size(), features.values.begin());
    return features;
  }

  void forget(Decision& decision) const {
    if (decision.memory.featured) {
      backlog_.drop(ticket_of(decision.memory), clock_.now());
    }
    decision.memory.featured = false;
  }

  double uncached_tokens(const Cycle& cycle, Row row) const {
    const double cached =
        static_cast<double>(cycle.at(prefix_.cached, row)) * cycle.scalar(prefix_.block_tokens);
    return std::max(static_cast<double>(cycle.request().prompt_tokens()) - cached, 0.0);
  }

  LatencyFeatures features(const Cycle& cycle, Row row, const PrefillBacklog::View& backlog) const {
    return LatencyFeatures::of(
        {.prompt_tokens = static_cast<double>(cycle.request().prompt_tokens()),
         .uncached_tokens = uncached_tokens(cycle, row),
         .waiting = cycle.at(kWaiting, row),
         .running = std::max(cycle.at(kRunning, row), cycle.at(kInFlightRequests, row)),
         .kv_usage = cycle.at(kKvUsage, row),
         .tokens_in_flight = backlog.tokens(cycle.endpoint(row).id),
         .encoder_tokens = encoder_tokens(cycle, row)});
  }

  double encoder_tokens(const Cycle& cycle, Row row) const {
    if (!options_.encoded) {
      return 0;
    }
    double tokens = 0;
    for (const openai::MediaItem& item : cycle.request().media) {
      tokens += static_cast<double>(item.tokens);
    }
    return tokens * (1 - static_cast<double>(cycle.at(*options_.encoded, row)));
  }

  const LatencyOptions options_;
  const PrefixColumns prefix_;
  const LatencyColumns columns_;
  const Clock& clock_;
  mutable LatencyModel model_;
  mutable PrefillBacklog backlog_;
  mutable LatencyMetrics metrics_;
};

Result<LatencyOptions> read_options(PluginSetup& setup) {
  LatencyOptions options;
  Parameters& parameters = setup.parameters;
  parameters.read("sloBufferFactor", options.slo_buffer);
  parameters.read("streamingMode", options.streaming);
  parameters.read("endpointRoleLabel", options.role_label);
  parameters.accept({"samplingMean", "maxDecodeTokenSamplesForPrediction", "maxSampledTokens", "contextTTL",
                     "predictInPrepareData", "predictInProduce", "inFlightLoadProducerName"});
  bool encoder = false;
  std::string encoder_cache;
  parameters.read("useEncoderCacheFeatures", encoder);
  parameters.read("encoderCacheProducerName", encoder_cache);
  if (encoder) {
    encoder_cache = encoder_cache.empty() ? "mm-embeddings-cache-producer" : encoder_cache;
    setup.require("mm", encoder_cache, nullptr);
    options.encoded = setup.names().column("mm/" + encoder_cache);
  }
  if (options.slo_buffer <= 0) {
    parameters.reject("sloBufferFactor", "must be positive");
  }
  return options;
}

}  // namespace

Result<std::unique_ptr<Plugin>> make_predicted_latency_producer(PluginSetup& setup) {
  LLMD_TRY(LatencyOptions options, read_options(setup));
  const PrefixColumns prefix = setup.required_prefix();
  setup.provide("latency");
  return std::make_unique<PredictedLatencyProducer>(std::move(options), prefix,
                                                    setup.latency_columns(setup.plugin_name), setup.clock());
}

Result<std::unique_ptr<Plugin>> make_predicted_latency_scorer(PluginSetup& setup) {
  setup.parameters.accept({"samplingMean", "maxSampledTokens", "sloBufferFactor", "negHeadroomTTFTWeight",
                           "negHeadroomTPOTWeight", "headroomTTFTWeight", "headroomTPOTWeight",
                           "epsilonExploreSticky", "epsilonExploreNeg", "affinityGateTau",
                           "affinityGateTauGlobal", "affinityMaxTTFTPenaltyMs", "contextTTL", "selectionMode",
                           "streamingMode", "endpointRoleLabel"});
  return make_latency_scorer(setup);
}

}  // namespace llmd::picker
