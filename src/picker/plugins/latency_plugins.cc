#include "picker/plugins/latency_plugins.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace llmd::picker {
namespace {

struct LatencyWeights {
  double ttft = 0.8;
  double tpot = 0.2;
  bool most = false;
  double kv = 1;
  double queue = 1;
  double prefix = 1;
};

enum class Tier { Positive, TpotNegative, TtftNegative, BothNegative };

Tier tier_of(const Cycle& cycle, const LatencyColumns& latency, Row row) {
  const bool ttft_fits = cycle.at(latency.ttft_headroom, row) >= 0;
  const bool tpot_fits = cycle.at(latency.tpot_headroom, row) >= 0;
  return ttft_fits ? (tpot_fits ? Tier::Positive : Tier::TpotNegative)
                   : (tpot_fits ? Tier::TtftNegative : Tier::BothNegative);
}

class LatencyScorer final : public Scorer {
 public:
  LatencyScorer(LatencyWeights weights, LatencyColumns latency, PrefixColumns prefix)
      : weights_(weights), latency_(latency), prefix_(prefix) {}

  void score(const Cycle& cycle, std::span<const Row> rows, std::span<double> scores) const override {
    const auto known = [&](Row row) { return cycle.at(latency_.known, row) > 0; };
    if (std::ranges::none_of(rows, known)) {
      return composite(cycle, rows, scores);
    }
    static thread_local std::vector<std::size_t> chosen;
    select(cycle, rows, chosen,
           [&](Row row) { return !known(row) || tier_of(cycle, latency_, row) == Tier::Positive; });
    bool most = weights_.most;
    if (chosen.empty()) {
      most = false;
      select(cycle, rows, chosen, [&](Row row) { return cycle.at(kInFlightRequests, row) == 0; });
    }
    for (const Tier tier : {Tier::TpotNegative, Tier::TtftNegative, Tier::BothNegative}) {
      if (chosen.empty()) {
        select(cycle, rows, chosen, [&](Row row) { return tier_of(cycle, latency_, row) == tier; });
      }
    }
    score_chosen(cycle, rows, chosen, most, scores);
  }

 private:
  template <typename Wanted>
  static void select(const Cycle&, std::span<const Row> rows, std::vector<std::size_t>& chosen,
                     Wanted wanted) {
    chosen.clear();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (wanted(rows[i])) {
        chosen.push_back(i);
      }
    }
  }

  // Nothing is predicted yet: cache usage, queue and prefix.
  void composite(const Cycle& cycle, std::span<const Row> rows, std::span<double> scores) const {
    double longest = 0;
    for (const Row row : rows) {
      longest = std::max<double>(longest, cycle.at(kWaiting, row));
    }
    const double total = cycle.scalar(prefix_.total);
    const double sum = weights_.kv + weights_.queue + weights_.prefix;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const double free = 1.0 - cycle.at(kKvUsage, rows[i]);
      const double queue = longest > 0 ? (longest - cycle.at(kWaiting, rows[i])) / longest : 1.0;
      const double prefix = total > 0 ? cycle.at(prefix_.matched, rows[i]) / total : 0.0;
      const double mixed =
          sum > 0 ? (weights_.kv * free + weights_.queue * queue + weights_.prefix * prefix) / sum : free;
      scores[i] = std::round(100 * mixed) / 100;
    }
  }

  void score_chosen(const Cycle& cycle, std::span<const Row> rows, std::span<const std::size_t> chosen,
                    bool most, std::span<double> scores) const {
    const auto spread = [&](Column column) {
      double low = std::numeric_limits<double>::infinity();
      double high = -low;
      for (const std::size_t i : chosen) {
        const double headroom = std::abs(cycle.at(column, rows[i]));
        low = std::min(low, headroom);
        high = std::max(high, headroom);
      }
      return std::pair(low, high - low);
    };
    const auto [ttft_low, ttft_range] = spread(latency_.ttft_headroom);
    const auto [tpot_low, tpot_range] = spread(latency_.tpot_headroom);
    constexpr double kFlat = 1e-9;
    double a = weights_.ttft;
    double b = weights_.tpot;
    if (ttft_range <= kFlat && tpot_range > kFlat) {
      a = 0, b = 1;
    } else if (tpot_range <= kFlat && ttft_range > kFlat) {
      a = 1, b = 0;
    }
    const double sum = a + b > 0 ? a + b : 1;
    for (const std::size_t i : chosen) {
      const auto part = [&](Column column, double low, double range) {
        return range <= kFlat ? 0.5 : (std::abs(cycle.at(column, rows[i])) - low) / range;
      };
      const double combined = (a * part(latency_.ttft_headroom, ttft_low, ttft_range) +
                               b * part(latency_.tpot_headroom, tpot_low, tpot_range)) /
                              sum;
      scores[i] = (std::floor((most ? combined : 1 - combined) * 100) + 1) / 100;
    }
  }

  const LatencyWeights weights_;
  const LatencyColumns latency_;
  const PrefixColumns prefix_;
};

class SloHeadroomTierFilter final : public Filter {
 public:
  SloHeadroomTierFilter(double epsilon, LatencyColumns latency) : epsilon_(epsilon), latency_(latency) {}
  void filter(Cycle& cycle, std::vector<Row>& rows) const override {
    const auto known = [&](Row row) { return cycle.at(latency_.known, row) > 0; };
    const auto positive = [&](Row row) {
      return known(row) && tier_of(cycle, latency_, row) == Tier::Positive;
    };
    const auto kept = std::ranges::count_if(rows, positive);
    if (std::ranges::none_of(rows, known) || kept == 0 || kept == std::ssize(rows)) {
      return;
    }
    const bool explores = epsilon_ > 0 && cycle.random().uniform() < epsilon_;
    std::erase_if(rows, [&](Row row) { return positive(row) == explores; });
  }

 private:
  const double epsilon_;
  const LatencyColumns latency_;
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_latency_scorer(PluginSetup& setup) {
  LatencyWeights weights;
  int strategy = 0;
  setup.parameters.read("ttftWeight", weights.ttft);
  setup.parameters.read("tpotWeight", weights.tpot);
  setup.parameters.read_choice("headroomSelectionStrategy", strategy, {"least", "most"});
  setup.parameters.read("compositeKVWeight", weights.kv);
  setup.parameters.read("compositeQueueWeight", weights.queue);
  setup.parameters.read("compositePrefixWeight", weights.prefix);
  weights.most = strategy == 1;
  const PrefixColumns prefix = setup.required_prefix();
  return std::make_unique<LatencyScorer>(weights, setup.required_latency(), prefix);
}

Result<std::unique_ptr<Plugin>> make_slo_headroom_tier_filter(PluginSetup& setup) {
  double epsilon = 0.01;
  setup.parameters.read("epsilonExploreNeg", epsilon);
  if (epsilon < 0 || epsilon > 1) {
    setup.parameters.reject("epsilonExploreNeg", "must be between 0 and 1");
  }
  return std::make_unique<SloHeadroomTierFilter>(epsilon, setup.required_latency());
}

}  // namespace llmd::picker
