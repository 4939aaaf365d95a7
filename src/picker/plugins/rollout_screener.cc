#include "picker/plugins/rollout_screener.h"

#include <algorithm>
#include <atomic>
#include <map>

#include "async/snapshot.h"
#include "base/strings.h"
#include "kube/selector.h"
#include "picker/metrics/page.h"

namespace llmd::picker {
namespace {

struct Selector {
  std::string name;
  std::string header;
  std::string label;
  bool strict = true;
};

enum class Gating { Sum, MaxRole, Disabled };

struct RolloutOptions {
  kube::LabelSelector scope;
  std::vector<Selector> selectors;
  Gating gating = Gating::Sum;
  std::vector<std::string> roles;
  std::string revision_label = "disaggregatedset.x-k8s.io/revision";
  std::string role_label = "disaggregatedset.x-k8s.io/role";
};

// Which part of the requests each revision gets; 0 for those that lack a role.
using Shares = std::map<std::string, double, std::less<>>;

class RolloutScreener final : public Screener, public RequestHook, public EndpointWatcher, public Measured {
 public:
  explicit RolloutScreener(RolloutOptions options)
      : options_(std::move(options)),
        no_match_(new std::atomic<std::uint64_t>[options_.selectors.size()]()) {}

  void screen(Cycle& cycle, std::vector<Row>& rows) const override {
    for (std::size_t i = 0; i < options_.selectors.size(); ++i) {
      const Selector& selector = options_.selectors[i];
      const auto wanted = cycle.request().headers.find(selector.header);
      if (!selector.strict || !wanted || wanted->empty()) {
        continue;
      }
      std::erase_if(rows, [&](Row row) {
        const std::string* value = cycle.described(row).label(selector.label);
        return value == nullptr || *value != *wanted;
      });
      if (rows.empty()) {
        no_match_[i].fetch_add(1, std::memory_order_relaxed);
        return;
      }
    }
    if (options_.gating != Gating::Disabled) {
      keep_one_revision(cycle, rows);
    }
  }

  void response_headers(Decision& decision, int /*status*/, const HeaderView& /*headers*/,
                        HeaderEdits& edits) const override {
    if (!decision.lease) {
      return;
    }
    const EndpointDescription endpoint = decision.lease.endpoint()->described();
    for (const Selector& selector : options_.selectors) {
      if (const std::string* value = endpoint->label(selector.label)) {
        edits.set(selector.header, *value);
      }
    }
  }

  void endpoints_changed(const EndpointSnapshot& snapshot) const override {
    shares_.store(std::make_shared<const Shares>(shares_of(snapshot)));
  }

  void write(Page& page) const override {
    for (std::size_t i = 0; i < options_.selectors.size(); ++i) {
      if (options_.selectors[i].strict) {
        page.counter("llm_d_epp_disaggregatedset_strict_header_no_match_total",
                     "Requests whose header named something that no endpoint has.",
                     {{"plugin_type", type}, {"plugin_name", name}, {"selector", options_.selectors[i].name}},
                     static_cast<double>(no_match_[i].load(std::memory_order_relaxed)));
      }
    }
    if (options_.gating == Gating::Disabled) {
      return;
    }
    const auto shares = shares_.load();
    for (const auto& [revision, share] : *shares) {
      page.gauge("llm_d_epp_disaggregatedset_revision_gating_share",
                 "Part of the requests that a revision gets; 0 while it lacks a role.",
                 {{"plugin_type", type},
                  {"plugin_name", name},
                  {"mode", options_.gating == Gating::Sum ? "sum" : "max-role"},
                  {"revision", revision}},
                 share);
    }
  }

 private:
  bool is_in_scope(const Endpoint& endpoint) const {
    kube::Object labels;
    for (const auto& [key, value] : endpoint.labels) {
      labels[key] = value;
    }
    kube::Object object;
    object["metadata"].emplace_object()["labels"] = std::move(labels);
    return options_.scope.matches(object);
  }

  Shares shares_of(const EndpointSnapshot& snapshot) const {
    std::map<std::string, std::map<std::string, int>, std::less<>> revisions;  // pods by role
    for (const EndpointDescription& each : snapshot.described) {
      const Endpoint& endpoint = *each;
      const std::string* revision = endpoint.label(options_.revision_label);
      const std::string* role = endpoint.label(options_.role_label);
      if (revision != nullptr && role != nullptr && is_in_scope(endpoint)) {
        revisions[*revision][*role] += endpoint.rank <= 0 ? 1 : 0;  // its other ranks are the same pod
      }
    }
    Shares shares;
    std::map<std::string_view, int> totals;  // of revisions that have every role
    for (const auto& [revision, pods] : revisions) {
      const bool whole = std::ranges::all_of(
          options_.roles, [&pods](const std::string& role) { return pods.contains(role); });
      shares[revision] = whole ? 1 : 0;
      for (const std::string& role : options_.roles) {
        totals[role] += whole ? pods.at(role) : 0;
      }
    }
    // One role decides for all revisions; the first of several that are alike.
    const auto dominant =
        std::ranges::max_element(options_.roles, {}, [&](const std::string& role) { return totals[role]; });
    const auto counts = [&](const std::string& role) {
      return options_.gating == Gating::Sum || role == *dominant;
    };
    double total = 0;
    for (const std::string& role : options_.roles) {
      total += counts(role) ? totals[role] : 0;
    }
    for (auto& [revision, share] : shares) {
      double weight = 0;
      for (const std::string& role : options_.roles) {
        weight += share > 0 && counts(role) ? revisions.find(revision)->second.at(role) : 0;
      }
      share = total > 0 ? weight / total : 0;
    }
    return shares;
  }

  void keep_one_revision(Cycle& cycle, std::vector<Row>& rows) const {
    const auto revision_of = [&](Row row) { return cycle.described(row).label(options_.revision_label); };
    const auto shares = shares_.load();
    double total = 0;
    const auto is_open = [&](const std::string& revision) {
      return std::ranges::any_of(rows, [&](Row row) {
        const std::string* own = revision_of(row);
        return own != nullptr && *own == revision;
      });
    };
    for (const auto& [revision, share] : *shares) {
      total += share > 0 && is_open(revision) ? share : 0;
    }
    double left = cycle.random().uniform() * total;
    const std::string* chosen = nullptr;
    for (const auto& [revision, share] : *shares) {
      if (share > 0 && is_open(revision)) {
        chosen = &revision;
        left -= share;
        if (left < 0) {
          break;
        }
      }
    }
    std::erase_if(rows, [&](Row row) {
      const std::string* own = revision_of(row);
      return chosen == nullptr || own == nullptr || *own != *chosen;
    });
  }

  const RolloutOptions options_;
  const std::unique_ptr<std::atomic<std::uint64_t>[]> no_match_;  // by selector
  mutable async::Snapshot<Shares> shares_;
};

// A text ("app=x,tier in (a,b)"), or an object with matchLabels and matchExpressions.
void read_scope(Parameters& from, RolloutOptions& options) {
  std::string text;
  const json::Value* given = from.value("labelSelector");
  if (given != nullptr && given->is_object()) {
    from.object("labelSelector").accept_all();
    text = kube::selector_text(given->get_object());
  } else {
    from.read("labelSelector", text);
  }
  auto parsed = kube::LabelSelector::parse(text);
  if (text.empty() || !parsed) {
    from.reject("labelSelector", text.empty() ? "is required" : parsed.error().message);
    return;
  }
  options.scope = std::move(*parsed);
}

void read_selectors(PluginSetup& setup, RolloutOptions& options) {
  for (Parameters* item : setup.parameters.objects("headerSelectors")) {
    Selector selector;
    int mode = 0;
    item->read("name", selector.name);
    item->read("headerName", selector.header);
    item->read("labelKey", selector.label);
    item->read_choice("mode", mode, {"strict", "prefer"});
    selector.strict = mode == 0;
    selector.header = to_lower(selector.header);
    if (selector.name.empty() || selector.header.empty() || selector.label.empty()) {
      item->reject("name", "name, headerName and labelKey are required");
    }
    const bool again = std::ranges::any_of(options.selectors, [&](const Selector& other) {
      return other.name == selector.name || other.header == selector.header;
    });
    if (again) {
      item->reject("name", "names and headers of selectors must be unique");
    }
    setup.reads_header(selector.header);
    options.selectors.push_back(std::move(selector));
  }
}

}  // namespace

Result<std::unique_ptr<Plugin>> make_rollout_screener(PluginSetup& setup) {
  RolloutOptions options;
  read_scope(setup.parameters.object("scope"), options);
  read_selectors(setup, options);
  Parameters& gating = setup.parameters.object("revisionGating");
  if (!gating.has("mode")) {
    gating.reject("mode", "is required");
  }
  int mode = 0;
  gating.read_choice("mode", mode, {"sum", "max-role", "disabled"});
  options.gating = static_cast<Gating>(mode);
  gating.object("requireRoles").read("values", options.roles);
  gating.read("revisionLabelKey", options.revision_label);
  gating.read("roleLabelKey", options.role_label);
  if (options.gating != Gating::Disabled && options.roles.empty()) {
    gating.reject("requireRoles", "values are required unless the mode is disabled");
  }
  return std::make_unique<RolloutScreener>(std::move(options));
}

}  // namespace llmd::picker
