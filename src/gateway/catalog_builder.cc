#include "gateway/catalog_builder.h"

#include <algorithm>
#include <tuple>

#include "base/strings.h"

namespace llmd::gateway {
namespace {

using Key = std::pair<std::string, std::string>;  // model, owner

std::string owner_of(const ModelTarget& target, const openai::ModelCard& card) {
  const std::string& owner = !target.owner.empty()    ? target.owner
                             : !card.owned_by.empty() ? card.owned_by
                                                      : target.engine;
  return to_lower(owner);
}

class Builder {
 public:
  Builder(const CatalogInput& input, std::map<std::string, Remembered>& remembered)
      : input_(input), remembered_(remembered) {}

  ModelCatalog build() {
    std::erase_if(remembered_, [&](const auto& entry) {
      return std::ranges::none_of(input_.targets,
                                  [&](const auto& target) { return target->key == entry.first; });
    });
    for (const auto& target : input_.targets) {
      if (target->discovered) {
        add_discovered(target);
      }
    }
    for (const ManualRoute& route : input_.manual) {
      add_manual(route);
    }
    for (auto& [key, mapping] : mappings_) {
      finish(mapping);
      catalog_.mappings.push_back(std::move(mapping));
    }
    return std::move(catalog_);
  }

 private:
  const ProbeState* probe_of(const net::Address& address) const {
    const auto found = input_.probes.find(address);
    return found != input_.probes.end() ? &found->second : nullptr;
  }

  void add_discovered(const std::shared_ptr<const ModelTarget>& target) {
    Remembered& known = remembered_[target->key];
    std::map<Key, WallTime> fresh;  // listed by somebody who answers
    bool somebody_answers = false;
    for (const picker::Endpoint& endpoint : target->endpoints) {
      const ProbeState* probe = probe_of(endpoint.address);
      catalog_.incomplete = catalog_.incomplete || probe == nullptr || !probe->asked;
      if (probe == nullptr || !probe->answering) {
        continue;
      }
      somebody_answers = true;
      for (openai::ModelCard card : probe->cards) {
        card.owned_by = owner_of(*target, card);
        if (card.root.starts_with('/')) {
          card.root.clear();  // a folder of the engine's machine is nobody's business
        }
        const Key key{card.id, card.owned_by};
        // vLLM says the time of the call; the first one stays.
        const auto before = known.find(key);
        const std::int64_t seconds = std::chrono::system_clock::to_time_t(input_.now);
        card.created = before != known.end() ? before->second.created
                       : card.created == 0   ? seconds
                                             : card.created;
        known.insert_or_assign(key, std::move(card));
        fresh[key] = probe->last_seen;
      }
    }
    if (somebody_answers) {
      std::erase_if(known, [&](const auto& entry) { return !fresh.contains(entry.first); });
    }
    for (const auto& [key, card] : known) {
      const auto seen = fresh.find(key);
      add(target, card, seen != fresh.end(), seen != fresh.end() ? seen->second : WallTime());
    }
    for (const std::string& model : target->models) {
      const bool listed =
          std::ranges::any_of(known, [&](const auto& entry) { return entry.first.first == model; });
      if (!listed && !somebody_answers) {
        openai::ModelCard card{.id = model};
        card.created = std::chrono::system_clock::to_time_t(input_.now);
        card.owned_by = owner_of(*target, card);
        add(target, card, false, WallTime());
      }
    }
  }

  ModelMapping& mapping_of(const openai::ModelCard& card) {
    ModelMapping& mapping = mappings_[{card.id, card.owned_by}];
    if (mapping.card.id.empty()) {
      mapping.card = card;
    }
    return mapping;
  }

  void add(const std::shared_ptr<const ModelTarget>& target, const openai::ModelCard& card, bool fresh,
           WallTime seen) {
    ModelMapping& mapping = mapping_of(card);
    if (fresh && mapping.stale) {
      mapping.card = card;  // what somebody says now is better than what is remembered
    }
    mapping.stale = mapping.stale && !fresh;
    mapping.last_seen = std::max(mapping.last_seen, seen);
    mapping.by_default = mapping.by_default || (!input_.default_owner.empty() &&
                                                equals_ignoring_case(input_.default_owner, card.owned_by));
    Serving serving{.target = target, .picker = input_.picker_of(*target), .not_serving = {}};
    for (const picker::Endpoint& endpoint : target->endpoints) {
      const ProbeState* probe = probe_of(endpoint.address);
      const bool lists = probe != nullptr && std::ranges::any_of(probe->cards, [&](const auto& listed) {
                           return listed.id == card.id && owner_of(*target, listed) == card.owned_by;
                         });
      if (probe != nullptr && probe->answering && !lists) {
        serving.not_serving.push_back(endpoint.address);
      }
    }
    mapping.serving.push_back(std::move(serving));
  }

  void add_manual(const ManualRoute& route) {
    const auto target = target_of(route, input_.targets);
    if (!target) {
      return;
    }
    openai::ModelCard card{.id = route.model};
    card.owned_by = route.owner;
    WallTime seen{};
    bool fresh = false;
    const std::string& asked = route.target_model.empty() ? route.model : route.target_model;
    for (const picker::Endpoint& endpoint : target->endpoints) {
      const ProbeState* probe = probe_of(endpoint.address);
      if (probe == nullptr) {
        continue;
      }
      for (const openai::ModelCard& listed : probe->cards) {
        if (listed.id == asked) {
          card = listed;
          card.id = route.model;
          card.owned_by = route.owner.empty() ? to_lower(listed.owned_by) : route.owner;
          fresh = fresh || probe->answering;
          seen = std::max(seen, probe->last_seen);
        }
      }
    }
    ModelMapping& mapping = mapping_of(card);
    if (mapping.card.created == 0) {
      mapping.card.created = std::chrono::system_clock::to_time_t(input_.now);
    }
    mapping.stale = mapping.stale && !fresh;
    mapping.last_seen = std::max(mapping.last_seen, seen);
    mapping.by_default = mapping.by_default || route.by_default;
    mapping.target_model = route.target_model;
    // Entries made by hand are obeyed, whatever the engine lists.
    mapping.serving.clear();
    mapping.serving.push_back({.target = target, .picker = input_.picker_of(*target), .not_serving = {}});
  }

  // The preferred first: those with an endpoint before those without, then pool before service before pod.
  static void finish(ModelMapping& mapping) {
    std::ranges::sort(mapping.serving, {}, [](const Serving& serving) {
      const ModelTarget& target = *serving.target;
      return std::tuple(target.endpoints.size() <= serving.not_serving.size(), target.via,
                        std::string_view(target.key));
    });
  }

  const CatalogInput& input_;
  std::map<std::string, Remembered>& remembered_;
  std::map<Key, ModelMapping> mappings_;
  ModelCatalog catalog_;
};

}  // namespace

std::shared_ptr<const ModelTarget> target_of(const ManualRoute& route,
                                             const std::vector<std::shared_ptr<const ModelTarget>>& targets) {
  ModelTarget target;
  if (route.url) {
    target.key = "manual " + route.url->to_string();
    target.endpoints.push_back({.address = *route.url, .name = route.url->to_string(), .labels = {}});
  } else {
    const std::string key = route.service ? fmt::format("{}/{}:{}", route.service->name_space,
                                                        route.service->name, route.service->port)
                                          : "InferencePool/" + route.pool;
    const auto found = std::ranges::find_if(targets, [&](const auto& each) { return each->key == key; });
    if (found == targets.end()) {
      return nullptr;
    }
    target = **found;
  }
  target.via = Via::Manual;
  target.weight = route.weight;
  return std::make_shared<const ModelTarget>(std::move(target));
}

ModelCatalog build_catalog(const CatalogInput& input, std::map<std::string, Remembered>& remembered) {
  return Builder(input, remembered).build();
}

}  // namespace llmd::gateway
