#include "picker/plugins/disagg_handlers.h"

#include <algorithm>

#include "picker/spans.h"

namespace llmd::picker {
namespace {

struct Roles {
  std::string decode = "decode";
  std::string prefill = "prefill";
  std::string encode = "encode";
};

struct HandlerOptions {
  Roles roles;
  bool prefill_first = false;
  const Decider* prefill_decider = nullptr;
  const Decider* encode_decider = nullptr;
  std::optional<std::int64_t> threshold;  // characters without a cache hit; of the old handler
  int primary_port = -1;
  PrefixColumns prefix{};
  std::string_view span = "pick_disagg_profile";
};

class DisaggProfileHandler final : public ProfileHandler {
 public:
  explicit DisaggProfileHandler(HandlerOptions options) : options_(std::move(options)) {}

  Result<void> bind(std::span<const std::string> profiles) override {
    const auto index = [&](const std::string& name) -> std::optional<std::size_t> {
      const auto found = std::ranges::find(profiles, name);
      return found == profiles.end() ? std::nullopt
                                     : std::optional(static_cast<std::size_t>(found - profiles.begin()));
    };
    decode_ = index(options_.roles.decode);
    prefill_ = index(options_.roles.prefill);
    encode_ = index(options_.roles.encode);
    if (!decode_) {
      return invalid_argument("there is no profile '{}' for decoding", options_.roles.decode);
    }
    return {};
  }

  bool is_disaggregating() const override { return true; }

  Result<void> choose(ProfileRunner& runner, Stages& stages) const override {
    const Cycle& cycle = runner.cycle();
    trace::Span span = begin_span(cycle.spans(), options_.span);
    auto chosen = run_stages(runner, stages);
    if (span.sampled()) {
      span.set("gen_ai.request.id", cycle.request().id);
      span.set("gen_ai.request.model", cycle.request().target());
      span.set("llm_d.profile_handler.decode_failed", !chosen);
      if (chosen) {
        span.set("llm_d.profile_handler.decision", stages.kind());
      }
    }
    return chosen;
  }

 private:
  Result<void> run_stages(ProfileRunner& runner, Stages& stages) const {
    Cycle& cycle = runner.cycle();
    if (options_.prefill_first) {
      run_prefill(runner, stages);
      run_encode(runner, stages, std::nullopt);
      cycle.set_peer(stages.prefill);
    }
    const auto picks = runner.run(*decode_);
    if (picks.empty()) {
      stages.clear();
      return unavailable("failed to find available decode workers");
    }
    stages.primary.assign(picks.begin(), picks.end());
    stages.primary_profile = *decode_;
    stages.primary_port = options_.primary_port;
    if (!options_.prefill_first) {
      const Row decode = stages.primary.front();
      run_encode(runner, stages, decode);
      if (prefill_ && wants_prefill(cycle, decode)) {
        cycle.set_peer(decode);
        run_prefill(runner, stages);
      }
    }
    return {};
  }
  bool wants_prefill(const Cycle& cycle, Row decode) const {
    if (options_.threshold) {
      const double length = static_cast<double>(cycle.request().prompt_bytes);
      const double total = cycle.scalar(options_.prefix.total);
      const double hit = total > 0 ? cycle.at(options_.prefix.cached, decode) / total : 0;
      return (1 - hit) * length >= static_cast<double>(*options_.threshold);
    }
    return options_.prefill_decider != nullptr && options_.prefill_decider->wants_stage(cycle, decode);
  }
  // A stage that finds nobody is left out: the decode endpoint does its work.
  void run_prefill(ProfileRunner& runner, Stages& stages) const {
    if (prefill_) {
      const auto picks = runner.run(*prefill_);
      if (!picks.empty()) {
        stages.prefill = picks.front();
      }
    }
  }
  void run_encode(ProfileRunner& runner, Stages& stages, std::optional<Row> decode) const {
    if (encode_ && options_.encode_decider != nullptr &&
        options_.encode_decider->wants_stage(runner.cycle(), decode)) {
      const auto picks = runner.run(*encode_);
      stages.encode.assign(picks.begin(), picks.end());
    }
  }

  const HandlerOptions options_;
  std::optional<std::size_t> decode_;
  std::optional<std::size_t> prefill_;
  std::optional<std::size_t> encode_;
};

const Decider* decider(PluginSetup& setup, std::string_view path, const std::string& name) {
  if (name.empty()) {
    return nullptr;
  }
  Plugin* plugin = setup.reference(path, name);
  const auto* found = dynamic_cast<const Decider*>(plugin);
  if (plugin != nullptr && found == nullptr) {
    setup.parameters.reject(path, fmt::format("'{}' is no decider", name));
  }
  return found;
}

void read_roles(PluginSetup& setup, Roles& roles) {
  setup.parameters.read("decodeProfile", roles.decode);
  setup.parameters.read("prefillProfile", roles.prefill);
  setup.parameters.read("encodeProfile", roles.encode);
}

}  // namespace

Result<std::unique_ptr<Plugin>> make_disagg_profile_handler(PluginSetup& setup) {
  Parameters& parameters = setup.parameters;
  HandlerOptions options;
  const bool nested = parameters.has("profiles") || parameters.has("deciders");
  bool flat = false;
  for (const std::string_view name : {"decodeProfile", "prefillProfile", "encodeProfile", "deciderPluginName",
                                      "prefillDeciderPluginName", "encodeDeciderPluginName"}) {
    flat = flat || parameters.has(name);
  }
  if (nested && flat) {
    return invalid_argument("profiles/deciders and the older flat names cannot be mixed");
  }
  read_roles(setup, options.roles);
  Parameters& profiles = parameters.object("profiles");
  profiles.read("decode", options.roles.decode);
  profiles.read("prefill", options.roles.prefill);
  profiles.read("encode", options.roles.encode);
  std::string prefill;
  std::string encode;
  parameters.read("deciderPluginName", prefill);
  parameters.read("prefillDeciderPluginName", prefill);
  parameters.read("encodeDeciderPluginName", encode);
  Parameters& deciders = parameters.object("deciders");
  deciders.read("prefill", prefill);
  deciders.read("encode", encode);
  int order = 0;
  parameters.read_choice("stageOrder", order, {"decode-first", "prefill-first", "decode", "prefill"});
  options.prefill_first = order % 2 == 1;
  if (options.prefill_first && !prefill.empty()) {
    return invalid_argument("stageOrder prefill-first always prefills; remove deciders.prefill");
  }
  options.prefill_decider = decider(setup, nested ? "deciders.prefill" : "prefillDeciderPluginName", prefill);
  options.encode_decider = decider(setup, nested ? "deciders.encode" : "encodeDeciderPluginName", encode);
  setup.require("prefix", kApproximateProducer, nullptr);
  return std::make_unique<DisaggProfileHandler>(std::move(options));
}

Result<std::unique_ptr<Plugin>> make_pd_profile_handler(PluginSetup& setup) {
  Parameters& parameters = setup.parameters;
  HandlerOptions options;
  options.span = "pick_pd_profile";
  read_roles(setup, options.roles);
  std::string name;
  int port = 0;
  parameters.read("deciderPluginName", name);
  parameters.read("primaryPort", port);
  parameters.accept({"prefixPluginType", "prefixPluginName", "hashBlockSize"});
  options.primary_port = port > 0 ? port : -1;
  options.prefix = setup.required_prefix();
  // Since v0.7 this decider is meant when nothing is said; before, the threshold decided.
  constexpr std::string_view kUsual = "prefix-based-pd-decider";
  if (name.empty() && !parameters.has("threshold") && setup.is_listed(kUsual)) {
    name = kUsual;
  }
  if (!name.empty()) {
    options.prefill_decider = decider(setup, "deciderPluginName", name);
  } else {
    std::int64_t threshold = 0;
    parameters.read("threshold", threshold);
    options.threshold = threshold;
  }
  parameters.accept({"threshold"});
  return std::make_unique<DisaggProfileHandler>(std::move(options));
}

Result<std::unique_ptr<Plugin>> make_disagg_headers_handler(PluginSetup& setup) {
  setup.parameters.accept({"prefillProfile", "encodeProfile"});
  return std::make_unique<Plugin>();
}

}  // namespace llmd::picker
