#include "picker/plugins/flow_policies.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>

#include "picker/flowcontrol/policies.h"
#include "picker/metrics/page.h"

namespace llmd::picker {
namespace {

constexpr std::int64_t kFarFuture = std::numeric_limits<std::int64_t>::max();

class Fcfs final : public OrderingPolicy {
  std::int64_t key(const FlowItem& item) const override { return static_cast<std::int64_t>(item.number); }
};

class EarliestDeadline final : public OrderingPolicy {
  std::int64_t key(const FlowItem& item) const override {
    return item.ttl > Duration::zero() ? (item.enqueued + item.ttl).time_since_epoch().count() : kFarFuture;
  }
};

class SloDeadline final : public OrderingPolicy {
  std::int64_t key(const FlowItem& item) const override {
    constexpr double kMost = 1e12;  // milliseconds; what is beyond is no deadline
    if (item.slo_ttft_ms < 0 || item.slo_ttft_ms > kMost) {
      return kFarFuture;
    }
    return (item.received + std::chrono::milliseconds(static_cast<std::int64_t>(item.slo_ttft_ms)))
        .time_since_epoch()
        .count();
  }
};

class GlobalStrict final : public FairnessPolicy {
  bool ignores_flows() const override { return true; }
};

class RoundRobin final : public FairnessPolicy {
  Flows::const_iterator choose(const Flows& flows, const std::string& last, TimePoint) const override {
    const auto next = flows.upper_bound(last);
    return next != flows.end() ? next : flows.begin();
  }
};

struct Service {
  double tokens = 0;
  TimePoint counted;
  TimePoint used;
};

// What the programs that wait have in common: 0 for the least of them, 1 for the most.
struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  double normal(double value) const { return high > low ? (value - low) / (high - low) : 0.5; }
};

struct ProgramOptions {
  double weight_service = 0.8;
  double weight_wait = 0.2;
  double half_life = 60;
  double idle = 3600;
  double sweep = 300;
};

class ProgramAware final : public FairnessPolicy, public RequestHook, public Inspectable, public Measured {
 public:
  ProgramAware(ProgramOptions options, const Clock& clock) : options_(options), clock_(clock) {}

  Flows::const_iterator choose(const Flows& flows, const std::string&, TimePoint now) const override {
    const std::lock_guard lock(mutex_);
    Range services;
    Range waits;
    scratch_.clear();
    for (const auto& [id, flow] : flows) {
      const Standing& one = scratch_.emplace_back(service(id, now), wait(flow, now));
      services.add(one.service);
      waits.add(one.wait);
    }
    auto best = flows.begin();
    double best_score = -1;
    std::size_t equals = 0;
    auto standing = scratch_.begin();
    for (auto flow = flows.begin(); flow != flows.end(); ++flow, ++standing) {
      const double score = options_.weight_service * (1 - services.normal(standing->service)) +
                           options_.weight_wait * waits.normal(standing->wait);
      equals = score > best_score ? 1 : score == best_score ? equals + 1 : equals;
      // Of several that are equal each is as likely.
      if (score > best_score || (score == best_score && random_.below(equals) == 0)) {
        best = flow;
        best_score = score;
      }
    }
    Waits& waited = waits_[std::string(remembered(best->first).view())];
    waited.seconds += wait(best->second, now);
    ++waited.requests;
    return best;
  }

  void completed(Decision& decision, const Completion& completion) const override {
    const TimePoint now = clock_.now();
    const double tokens = static_cast<double>(completion.usage.prompt_tokens.value_or(0)) +
                          2 * static_cast<double>(completion.usage.completion_tokens.value_or(0));
    const std::lock_guard lock(mutex_);
    sweep(now);
    auto known = programs_.find(decision.memory.fairness_id.view());
    if (known == programs_.end()) {
      known = programs_.emplace(std::string(decision.memory.fairness_id.view()), Service{}).first;
    }
    known->second.tokens = decayed(known->second, now) + tokens;
    known->second.counted = known->second.used = now;
  }

  // Jain's index of the services that programs got: 1 when all got the same.
  void write(Page& page) const override {
    const std::lock_guard lock(mutex_);
    const TimePoint now = clock_.now();
    double sum = 0;
    double squares = 0;
    for (const auto& [id, used] : programs_) {
      const double tokens = decayed(used, now);
      sum += tokens;
      squares += tokens * tokens;
      page.gauge("llm_d_epp_program_aware_attained_service_tokens", "Service that a program got lately.",
                 {{"program_id", id}}, tokens);
    }
    const auto n = static_cast<double>(programs_.size());
    page.gauge("llm_d_epp_program_aware_jains_fairness_index", "1: all programs got the same service.", {},
               squares > 0 ? sum * sum / (n * squares) : 1);
    for (const auto& [id, waits] : waits_) {
      page.gauge("llm_d_epp_program_aware_avg_wait_time_milliseconds", "Mean time in the queue.",
                 {{"program_id", id}}, 1000 * waits.seconds / static_cast<double>(waits.requests));
    }
  }

  json::Value state() const override {
    const std::lock_guard lock(mutex_);
    return json::Value{{"programs", programs_.size()}};
  }

 private:
  static double wait(const Flow& flow, TimePoint now) {
    return std::chrono::duration<double>(now - (*flow.begin())->enqueued).count();
  }
  double decayed(const Service& service, TimePoint now) const {
    const double seconds = std::chrono::duration<double>(now - service.counted).count();
    return options_.half_life > 0 ? service.tokens * std::exp2(-seconds / options_.half_life)
                                  : service.tokens;
  }
  // Decisions remember the beginning of long ids only.
  using ProgramId = decltype(Decision::Memory::fairness_id);
  static ProgramId remembered(std::string_view id) {
    ProgramId beginning;
    beginning = id;
    return beginning;
  }
  double service(std::string_view id, TimePoint now) const {
    const auto known = programs_.find(remembered(id).view());
    return known == programs_.end() ? 0 : decayed(known->second, now);
  }
  void sweep(TimePoint now) const {
    const auto seconds = [now](TimePoint since) {
      return std::chrono::duration<double>(now - since).count();
    };
    if (options_.idle > 0 && seconds(swept_) >= options_.sweep) {
      swept_ = now;
      std::erase_if(programs_, [&](const auto& entry) { return seconds(entry.second.used) > options_.idle; });
      std::erase_if(waits_, [&](const auto& entry) { return !programs_.contains(entry.first); });
    }
  }

  const ProgramOptions options_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, Service, std::less<>> programs_;
  struct Waits {
    double seconds = 0;
    std::uint64_t requests = 0;
  };
  mutable std::map<std::string, Waits, std::less<>> waits_;
  mutable TimePoint swept_;
  mutable Random random_;
  struct Standing {
    double service = 0;
    double wait = 0;
  };
  mutable std::vector<Standing> scratch_;  // of choose(), by flow
};

template <typename Policy>
Result<std::unique_ptr<Plugin>> simple(PluginSetup& setup) {
  setup.parameters.accept_all();
  return std::make_unique<Policy>();
}

}  // namespace

Result<std::unique_ptr<Plugin>> make_fcfs_ordering(PluginSetup& setup) {
  return simple<Fcfs>(setup);
}

Result<std::unique_ptr<Plugin>> make_edf_ordering(PluginSetup& setup) {
  return simple<EarliestDeadline>(setup);
}

Result<std::unique_ptr<Plugin>> make_slo_deadline_ordering(PluginSetup& setup) {
  return simple<SloDeadline>(setup);
}

Result<std::unique_ptr<Plugin>> make_global_strict_fairness(PluginSetup& setup) {
  return simple<GlobalStrict>(setup);
}

Result<std::unique_ptr<Plugin>> make_round_robin_fairness(PluginSetup& setup) {
  return simple<RoundRobin>(setup);
}

Result<std::unique_ptr<Plugin>> make_program_aware_fairness(PluginSetup& setup) {
  ProgramOptions options;
  int strategy = 0;
  setup.parameters.read_choice("strategy", strategy, {"las"});
  const std::pair<std::string_view, double*> numbers[] = {{"lasWeightService", &options.weight_service},
                                                          {"lasWeightHeadWait", &options.weight_wait},
                                                          {"lasHalfLifeSeconds", &options.half_life},
                                                          {"evictionTtlSeconds", &options.idle},
                                                          {"evictionSweepSeconds", &options.sweep}};
  for (const auto& [name, number] : numbers) {
    setup.parameters.read(name, *number);
    if (*number < 0) {
      setup.parameters.reject(name, "must not be negative");
    }
  }
  if (options.sweep == 0) {
    setup.parameters.reject("evictionSweepSeconds", "must be positive");
  }
  return std::make_unique<ProgramAware>(options, setup.clock());
}

}  // namespace llmd::picker
