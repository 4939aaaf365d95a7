#include "picker/plugins/rollout_screener.h"

#include <algorithm>
#include <map>

#include "base/strings.h"

namespace llmd::picker {
namespace {

struct Selector {
  std::string header;
  std::string label;
  bool strict = false;
};

struct RolloutOptions {
  std::map<std::string, std::string> scope;
  std::vector<Selector> selectors;
  int mode = 0;  // sum, max-role, disabled
  std::vector<std::string> roles;
  std::string revision_label = "disaggregatedset.x-k8s.io/revision";
  std::string role_label = "disaggregatedset.x-k8s.io/role";
};

class RolloutScreener final : public Screener {
 public:
  explicit RolloutScreener(RolloutOptions options) : options_(std::move(options)) {}

  void screen(Cycle& cycle, std::vector<Row>& rows) const override {
    std::erase_if(rows, [&](Row row) { return !is_in_scope(cycle.endpoint(row).endpoint); });
    for (const Selector& selector : options_.selectors) {
      select(cycle, selector, rows);
    }
    if (options_.mode != 2) {
      keep_one_revision(cycle, rows);
    }
  }

 private:
  bool is_in_scope(const Endpoint& endpoint) const {
    return std::ranges::all_of(options_.scope, [&](const auto& wanted) {
      const std::string* value = endpoint.label(wanted.first);
      return value != nullptr && *value == wanted.second;
    });
  }

  static void select(const Cycle& cycle, const Selector& selector, std::vector<Row>& rows) {
    const auto wanted = cycle.request().headers.find(selector.header);
    if (!wanted || wanted->empty()) {
      return;
    }
    const auto differs = [&](Row row) {
      const std::string* value = cycle.endpoint(row).endpoint.label(selector.label);
      return value == nullptr || *value != *wanted;
    };
    if (selector.strict || !std::ranges::all_of(rows, differs)) {
      std::erase_if(rows, differs);
    }
  }

  void keep_one_revision(Cycle& cycle, std::vector<Row>& rows) const {
    std::map<std::string, std::map<std::string, int>> revisions;  // endpoints by role
    for (const Row row : rows) {
      const Endpoint& endpoint = cycle.endpoint(row).endpoint;
      const std::string* revision = endpoint.label(options_.revision_label);
      const std::string* role = endpoint.label(options_.role_label);
      if (revision != nullptr && role != nullptr) {
        ++revisions[*revision][*role];
      }
    }
    std::erase_if(revisions, [&](const auto& entry) {
      return std::ranges::any_of(options_.roles,
                                 [&](const std::string& role) { return !entry.second.contains(role); });
    });
    double total = 0;
    for (const auto& [revision, roles] : revisions) {
      total += weight(roles);
    }
    double left = cycle.random().uniform() * total;
    std::string chosen;
    for (const auto& [revision, roles] : revisions) {
      chosen = revision;
      left -= weight(roles);
      if (left < 0) {
        break;
      }
    }
    std::erase_if(rows, [&](Row row) {
      const std::string* revision = cycle.endpoint(row).endpoint.label(options_.revision_label);
      return chosen.empty() || revision == nullptr || *revision != chosen;
    });
  }

  double weight(const std::map<std::string, int>& roles) const {
    int sum = 0;
    int most = 0;
    for (const auto& [role, count] : roles) {
      sum += count;
      most = std::max(most, count);
    }
    return options_.mode == 0 ? sum : most;
  }

  const RolloutOptions options_;
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_rollout_screener(PluginSetup& setup) {
  RolloutOptions options;
  setup.parameters.object("scope").object("labelSelector").read("matchLabels", options.scope);
  if (options.scope.empty()) {
    setup.parameters.reject("scope", "labelSelector.matchLabels is required");
  }
  for (Parameters* item : setup.parameters.objects("headerSelectors")) {
    Selector& selector = options.selectors.emplace_back();
    int mode = 0;
    item->accept({"name"});
    item->read("headerName", selector.header);
    item->read("labelKey", selector.label);
    item->read_choice("mode", mode, {"strict", "prefer"});
    selector.strict = mode == 0;
    selector.header = to_lower(selector.header);
    setup.reads_header(selector.header);
  }
  Parameters& gating = setup.parameters.object("revisionGating");
  if (!gating.has("mode")) {
    gating.reject("mode", "is required");
  }
  gating.read_choice("mode", options.mode, {"sum", "max-role", "disabled"});
  gating.object("requireRoles").read("values", options.roles);
  gating.read("revisionLabelKey", options.revision_label);
  gating.read("roleLabelKey", options.role_label);
  if (options.mode != 2 && options.roles.empty()) {
    gating.reject("requireRoles", "values are required unless the mode is disabled");
  }
  return std::make_unique<RolloutScreener>(std::move(options));
}

}  // namespace llmd::picker
