#include "picker/plugins/attribute_plugins.h"

#include <algorithm>
#include <cmath>

namespace llmd::picker {
namespace {

// The column of a scraped attribute; custom ones are copied there from the endpoint's slots.
class Attribute : public Producer {
 public:
  Attribute(PluginSetup& setup, const std::string& name) {
    static constexpr std::pair<std::string_view, Column> kBasic[] = {
        {"WaitingQueueSize", kWaiting}, {"RunningRequestsSize", kRunning}, {"KVCacheUsagePercent", kKvUsage}};
    for (const auto& [known, column] : kBasic) {
      if (known == name) {
        column_ = column;
        return;
      }
    }
    column_ = setup.names().column("attribute/" + name);
    slot_ = setup.custom_metric(name);
  }

  void produce(Cycle& cycle) const override {
    if (slot_) {
      const auto values = cycle.fill(column_);
      for (const Row row : cycle.candidates()) {
        values[row] = cycle.endpoint(row).custom(*slot_);
      }
    }
  }

 protected:
  float value(const Cycle& cycle, Row row) const { return cycle.at(column_, row); }

 private:
  Column column_ = 0;
  std::optional<std::size_t> slot_;
};

enum Comparison { LessThan, LessThanOrEqual, GreaterThan, GreaterThanOrEqual, Equal, NotEqual };

bool holds(double value, int comparison, double limit) {
  switch (comparison) {
    case LessThan:
      return value < limit;
    case LessThanOrEqual:
      return value <= limit;
    case GreaterThan:
      return value > limit;
    case GreaterThanOrEqual:
      return value >= limit;
    case Equal:
      return value == limit;
    default:
      return value != limit;
  }
}

class AttributeFilter final : public Attribute, public Filter {
 public:
  struct Options {
    std::string attribute;
    int comparison = LessThan;
    double limit = 0;
    bool passes_missing = true;
    bool fallback = false;
  };
  AttributeFilter(PluginSetup& setup, Options options)
      : Attribute(setup, options.attribute), options_(std::move(options)) {}

  void filter(Cycle& cycle, std::vector<Row>& rows) const override {
    const auto fails = [&](Row row) {
      const float number = value(cycle, row);
      return std::isnan(number) ? !options_.passes_missing
                                : !holds(number, options_.comparison, options_.limit);
    };
    if (!options_.fallback || !std::ranges::all_of(rows, fails)) {
      std::erase_if(rows, fails);
    }
  }

 private:
  const Options options_;
};

class AttributeScorer final : public Attribute, public Scorer {
 public:
  struct Options {
    std::string attribute;
    bool higher_is_better = false;
    std::optional<std::pair<double, double>> fixed;
  };
  AttributeScorer(PluginSetup& setup, Options options)
      : Attribute(setup, options.attribute), options_(std::move(options)) {}

  void score(const Cycle& cycle, std::span<const Row> rows, std::span<double> scores) const override {
    const auto [low, high] = range(cycle, rows);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const double number = value(cycle, rows[i]);
      if (!std::isnan(number)) {
        const double part = std::clamp((number - low) / (high - low), 0.0, 1.0);
        scores[i] = high <= low ? 1.0 : options_.higher_is_better ? part : 1.0 - part;
      }
    }
  }

 private:
  std::pair<double, double> range(const Cycle& cycle, std::span<const Row> rows) const {
    if (options_.fixed) {
      return *options_.fixed;
    }
    std::pair<double, double> found{std::numeric_limits<double>::infinity(),
                                    -std::numeric_limits<double>::infinity()};
    for (const Row row : rows) {
      const double number = value(cycle, row);
      if (!std::isnan(number)) {
        found = {std::min(found.first, number), std::max(found.second, number)};
      }
    }
    return found;
  }

  const Options options_;
};

struct Condition {
  Column column;
  double limit;
};

class UtilizationFilter final : public Filter {
 public:
  UtilizationFilter(std::vector<Condition> conditions, bool fallback)
      : conditions_(std::move(conditions)), fallback_(fallback) {}
  void filter(Cycle& cycle, std::vector<Row>& rows) const override {
    const auto exceeds = [&](Row row) {
      return std::ranges::any_of(conditions_, [&](const Condition& condition) {
        return cycle.at(condition.column, row) > condition.limit;
      });
    };
    if (!fallback_ || !std::ranges::all_of(rows, exceeds)) {
      std::erase_if(rows, exceeds);
    }
  }

 private:
  const std::vector<Condition> conditions_;
  const bool fallback_;
};

void read_attribute(PluginSetup& setup, std::string_view key, std::string& into) {
  setup.parameters.read(key, into);
  if (into.empty()) {
    setup.parameters.reject(key, "is required");
  } else if (into.contains('/') && !setup.parameters.has("producer")) {
    setup.parameters.reject(key, "must not contain '/'; name the producer by `producer`");
  }
  setup.parameters.accept({"producer"});
}

}  // namespace

Result<std::unique_ptr<Plugin>> make_endpoint_attribute_filter(PluginSetup& setup) {
  AttributeFilter::Options options;
  read_attribute(setup, "attribute", options.attribute);
  int missing = 0;
  setup.parameters.read_choice("onMissing", missing, {"Pass", "Fail"});
  options.passes_missing = missing == 0;
  setup.parameters.read("fallbackOnEmpty", options.fallback);
  Parameters& algorithm = setup.parameters.object("algorithm");
  int type = 0;
  algorithm.read_choice("type", type, {"threshold"});
  Parameters& threshold = algorithm.object("threshold");
  threshold.read_choice(
      "operator", options.comparison,
      {"LessThan", "LessThanOrEqual", "GreaterThan", "GreaterThanOrEqual", "Equal", "NotEqual"});
  threshold.read("value", options.limit);
  return std::make_unique<AttributeFilter>(setup, std::move(options));
}

Result<std::unique_ptr<Plugin>> make_endpoint_attribute_scorer(PluginSetup& setup) {
  AttributeScorer::Options options;
  read_attribute(setup, "attributeKey", options.attribute);
  Parameters& algorithm = setup.parameters.object("algorithm");
  int type = 0;
  algorithm.read_choice("type", type, {"linear_lower_is_better", "linear_higher_is_better"});
  options.higher_is_better = type == 1;
  Parameters& normalization = algorithm.object("normalization");
  normalization.accept({"adaptiveRange"});
  if (normalization.has("fixedRange")) {
    Parameters& range = normalization.object("fixedRange");
    auto& fixed = options.fixed.emplace(0.0, 0.0);
    range.read("min", fixed.first);
    range.read("max", fixed.second);
    if (fixed.first >= fixed.second) {
      range.reject("max", "must be greater than min");
    }
  }
  normalization.accept({"fixedRange"});
  return std::make_unique<AttributeScorer>(setup, std::move(options));
}

Result<std::unique_ptr<Plugin>> make_utilization_filter(PluginSetup& setup) {
  static constexpr Column kColumns[] = {kInFlightRequests, kRunning, kWaiting, kKvUsage};
  std::vector<Condition> conditions;
  for (Parameters* item : setup.parameters.objects("conditions")) {
    int metric = 0;
    double limit = 0;
    item->read_choice("metric", metric,
                      {"active-requests", "running-requests", "waiting-queue", "kv-cache-utilization"});
    item->read("maxValue", limit);
    if (limit < 0 || (metric == 3 && limit > 1)) {
      item->reject("maxValue", metric == 3 ? "must be between 0 and 1" : "must not be negative");
    }
    conditions.push_back({kColumns[metric], limit});
  }
  if (conditions.empty()) {
    setup.parameters.reject("conditions", "at least one condition is required");
  }
  bool fallback = false;
  setup.parameters.read("fallbackOnEmpty", fallback);
  setup.parameters.accept({"inFlightLoadProducerName"});
  return std::make_unique<UtilizationFilter>(std::move(conditions), fallback);
}

}  // namespace llmd::picker
