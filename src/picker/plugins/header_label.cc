#include "picker/plugins/header_label.h"

#include <algorithm>

#include "base/strings.h"

namespace llmd::picker {
namespace {

struct HeaderLabel {
  std::string header;
  std::string label;
};

HeaderLabel read(PluginSetup& setup, HeaderLabel named = {}) {
  setup.parameters.read("headerName", named.header);
  setup.parameters.read("labelKey", named.label);
  if (named.header.empty()) {
    setup.parameters.reject("headerName", "is required");
  }
  if (named.label.empty()) {
    setup.parameters.reject("labelKey", "is required");
  }
  named.header = to_lower(named.header);
  setup.reads_header(named.header);
  return named;
}

bool label_is(const Endpoint& endpoint, std::string_view key, std::string_view value) {
  const std::string* label = endpoint.label(key);
  return label != nullptr && *label == value;
}

class HeaderLabelFilter final : public Filter {
 public:
  HeaderLabelFilter(HeaderLabel named, bool required) : named_(std::move(named)), required_(required) {}
  void filter(Cycle& cycle, std::vector<Row>& rows) const override {
    const auto wanted = cycle.request().headers.find(named_.header);
    if (wanted && !wanted->empty()) {
      std::erase_if(rows, [&](Row row) { return !label_is(cycle.described(row), named_.label, *wanted); });
    } else if (required_) {
      rows.clear();
    }
  }

 private:
  const HeaderLabel named_;
  const bool required_;
};

class HeaderLabelScorer final : public Scorer {
 public:
  explicit HeaderLabelScorer(HeaderLabel named) : named_(std::move(named)) {}
  void score(const Cycle& cycle, std::span<const Row> rows, std::span<double> scores) const override {
    const auto wanted = cycle.request().headers.find(named_.header);
    for (std::size_t i = 0; wanted && i < rows.size(); ++i) {
      scores[i] = label_is(cycle.described(rows[i]), named_.label, *wanted) ? 1 : 0;
    }
  }

 private:
  const HeaderLabel named_;
};

// Lists of models change while endpoints live, so what they say about this request becomes a column.
class ModelOwnerFilter final : public Producer, public Filter {
 public:
  ModelOwnerFilter(HeaderLabel named, Column serves) : named_(std::move(named)), serves_(serves) {}

  void produce(Cycle& cycle) const override {
    const std::string_view owner = cycle.request().headers.find(named_.header).value_or("");
    const auto serves = cycle.fill(serves_);
    for (const Row row : cycle.candidates()) {
      const auto models = cycle.endpoint(row).models();
      const bool owned = owner.empty() || label_is(cycle.described(row), named_.label, owner);
      serves[row] = models->empty() ? owned : lists(*models, cycle.request().target(), owner, owned);
    }
  }
  void filter(Cycle& cycle, std::vector<Row>& rows) const override {
    std::erase_if(rows, [&](Row row) { return cycle.at(serves_, row) == 0; });
  }

 private:
  static bool lists(const std::vector<ListedModel>& models, std::string_view model, std::string_view owner,
                    bool owned_by_label) {
    return std::ranges::any_of(models, [&](const ListedModel& listed) {
      return (model.empty() || listed.id == model) && (owned_by_label || listed.owner == owner);
    });
  }

  const HeaderLabel named_;
  const Column serves_;
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_header_label_filter(PluginSetup& setup) {
  bool required = false;
  setup.parameters.read("required", required);
  return std::make_unique<HeaderLabelFilter>(read(setup), required);
}

Result<std::unique_ptr<Plugin>> make_header_label_affinity_scorer(PluginSetup& setup) {
  return std::make_unique<HeaderLabelScorer>(read(setup));
}

Result<std::unique_ptr<Plugin>> make_model_owner_filter(PluginSetup& setup) {
  return std::make_unique<ModelOwnerFilter>(read(setup, {"x-owned-by", "llm-d.ai/owned-by"}),
                                            setup.names().column("models/serves"));
}

}  // namespace llmd::picker
