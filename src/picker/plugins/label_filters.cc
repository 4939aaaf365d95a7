#include "picker/plugins/label_filters.h"

#include <algorithm>

namespace llmd::picker {
namespace {

class LabelFilter final : public Filter {
 public:
  explicit LabelFilter(unsigned predicate) : predicate_(predicate) {}
  void filter(Cycle& cycle, std::vector<Row>& rows) const override {
    std::erase_if(rows, [&](Row row) { return !cycle.has(row, predicate_); });
  }

 private:
  const unsigned predicate_;
};

bool contains(const std::vector<std::string>& values, const std::string& value) {
  return std::ranges::find(values, value) != values.end();
}

std::unique_ptr<Plugin> by_label(PluginSetup& setup, std::string label, std::vector<std::string> values,
                                 bool allows_none) {
  return std::make_unique<LabelFilter>(setup.predicate(
      [label = std::move(label), values = std::move(values), allows_none](const Endpoint& endpoint) {
        const std::string* value = endpoint.label(label);
        return value != nullptr ? contains(values, *value) : allows_none;
      }));
}

constexpr std::string_view kRole = "llm-d.ai/role";

EndpointPredicate expression(std::string key, const std::string& op, std::vector<std::string> values) {
  const bool wanted = op == "In" || op == "Exists";
  const bool by_value = op == "In" || op == "NotIn";
  return [key = std::move(key), values = std::move(values), wanted, by_value](const Endpoint& endpoint) {
    const std::string* value = endpoint.label(key);
    const bool holds = value != nullptr && (!by_value || contains(values, *value));
    return holds == wanted;
  };
}

}  // namespace

Result<std::unique_ptr<Plugin>> make_by_label(PluginSetup& setup) {
  std::string label;
  std::vector<std::string> values;
  bool allows_none = false;
  setup.parameters.read("label", label);
  setup.parameters.read("validValues", values);
  setup.parameters.read("allowsNoLabel", allows_none);
  if (label.empty()) {
    setup.parameters.reject("label", "is required");
  }
  if (values.empty() && !allows_none) {
    setup.parameters.reject("validValues", "must not be empty unless allowsNoLabel is true");
  }
  return by_label(setup, std::move(label), std::move(values), allows_none);
}

Result<std::unique_ptr<Plugin>> make_label_selector_filter(PluginSetup& setup) {
  std::map<std::string, std::string> labels;
  setup.parameters.read("matchLabels", labels);
  std::vector<EndpointPredicate> all;
  for (auto& [key, value] : labels) {
    all.push_back(expression(key, "In", {value}));
  }
  for (Parameters* item : setup.parameters.objects("matchExpressions")) {
    std::string key;
    std::string op;
    std::vector<std::string> values;
    item->read("key", key);
    item->read("operator", op);
    item->read("values", values);
    static const std::vector<std::string> kOperators = {"In", "NotIn", "Exists", "DoesNotExist"};
    if (!contains(kOperators, op)) {
      item->reject("operator", "must be In, NotIn, Exists or DoesNotExist");
    }
    all.push_back(expression(std::move(key), op, std::move(values)));
  }
  return std::make_unique<LabelFilter>(setup.predicate([all = std::move(all)](const Endpoint& endpoint) {
    return std::ranges::all_of(all, [&](const EndpointPredicate& holds) { return holds(endpoint); });
  }));
}

Result<std::unique_ptr<Plugin>> make_decode_filter(PluginSetup& setup) {
  setup.parameters.accept_all();
  return by_label(setup, std::string(kRole), {"decode", "prefill-decode", "both", "encode-prefill-decode"},
                  true);
}

Result<std::unique_ptr<Plugin>> make_prefill_filter(PluginSetup& setup) {
  setup.parameters.accept_all();
  return by_label(setup, std::string(kRole),
                  {"prefill", "encode-prefill", "prefill-decode", "both", "encode-prefill-decode"}, false);
}

Result<std::unique_ptr<Plugin>> make_encode_filter(PluginSetup& setup) {
  setup.parameters.accept_all();
  return by_label(setup, std::string(kRole), {"encode", "encode-prefill", "encode-prefill-decode"}, false);
}

}  // namespace llmd::picker
