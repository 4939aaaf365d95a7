#include "picker/plugins/legacy_filters.h"

#include <algorithm>

namespace llmd::picker {
namespace {

class LowQueueFilter final : public Filter {
 public:
  explicit LowQueueFilter(int threshold) : threshold_(threshold) {}
  void filter(Cycle& cycle, std::vector<Row>& rows) const override {
    std::erase_if(rows, [&](Row row) { return cycle.at(kWaiting, row) > static_cast<float>(threshold_); });
  }

 private:
  const int threshold_;
};

class LeastFilter final : public Filter {
 public:
  explicit LeastFilter(Column column) : column_(column) {}
  void filter(Cycle& cycle, std::vector<Row>& rows) const override {
    if (rows.empty()) {
      return;
    }
    const auto number = [&](Row row) { return cycle.at(column_, row); };
    const auto [low, high] = std::ranges::minmax(rows, {}, number);
    const float least = number(low);
    const float slice = (number(high) - least) / static_cast<float>(rows.size());
    std::erase_if(rows, [&](Row row) { return number(row) - least > slice; });
  }

 private:
  const Column column_;
};

class DecisionTreeFilter final : public Filter {
 public:
  DecisionTreeFilter(const Filter* current, const Filter* on_success, const Filter* on_failure)
      : current_(current), on_success_(on_success), on_failure_(on_failure) {}
  void filter(Cycle& cycle, std::vector<Row>& rows) const override {
    const std::vector<Row> before = rows;
    current_->filter(cycle, rows);
    if (!rows.empty()) {
      if (on_success_ != nullptr) {
        on_success_->filter(cycle, rows);
      }
    } else if (on_failure_ != nullptr) {
      rows = before;
      on_failure_->filter(cycle, rows);
    }
  }

 private:
  const Filter* current_;
  const Filter* on_success_;
  const Filter* on_failure_;
};

// Either a name, or {pluginRef: name} as the documents of that time wrote it.
const Filter* filter_at(PluginSetup& setup, std::string_view name) {
  const json::Value* value = setup.parameters.value(name);
  if (value == nullptr) {
    return nullptr;
  }
  std::string plugin;
  if (value->is_string()) {
    setup.parameters.read(name, plugin);
  } else {
    setup.parameters.object(name).read("pluginRef", plugin);
  }
  const auto* filter = dynamic_cast<const Filter*>(setup.reference(name, plugin));
  if (filter == nullptr) {
    setup.parameters.reject(name, fmt::format("'{}' is no filter", plugin));
  }
  return filter;
}

}  // namespace

Result<std::unique_ptr<Plugin>> make_low_queue_filter(PluginSetup& setup) {
  int threshold = 128;
  setup.parameters.read("threshold", threshold);
  return std::make_unique<LowQueueFilter>(threshold);
}

Result<std::unique_ptr<Plugin>> make_least_queue_filter(PluginSetup& setup) {
  setup.parameters.accept_all();
  return std::make_unique<LeastFilter>(kWaiting);
}

Result<std::unique_ptr<Plugin>> make_least_kv_cache_filter(PluginSetup& setup) {
  setup.parameters.accept_all();
  return std::make_unique<LeastFilter>(kKvUsage);
}

Result<std::unique_ptr<Plugin>> make_decision_tree_filter(PluginSetup& setup) {
  const Filter* current = filter_at(setup, "current");
  const Filter* both = filter_at(setup, "nextOnSuccessOrFailure");
  const Filter* success = filter_at(setup, "nextOnSuccess");
  const Filter* failure = filter_at(setup, "nextOnFailure");
  if (current == nullptr) {
    return invalid_argument("current: is required");
  }
  return std::make_unique<DecisionTreeFilter>(current, success != nullptr ? success : both,
                                              failure != nullptr ? failure : both);
}

}  // namespace llmd::picker
