#include "operator/neighbours.h"

#include <fmt/format.h>

#include <algorithm>

#include "llmisvc/route_group.h"

namespace llmd::operators {
namespace {

bool share_a_name(const std::set<std::string>& a, const std::set<std::string>& b) {
  return std::ranges::any_of(a, [&](const std::string& name) { return b.contains(name); });
}

}  // namespace

Neighbours::Known Neighbours::known_of(const llmisvc::Service& service) {
  Known known{.names = {service.model.name},
              .group = llmisvc::routing_group(service),
              .has_route = service.router && service.router->has_route};
  for (const auto& adapter : service.model.adapters) {
    known.names.insert(adapter.name);
  }
  return known;
}

void Neighbours::remember(const kube::ObjectKey& key, const llmisvc::Service& service) {
  Known now = known_of(service);
  Known& before = known_[key];
  if (before == now) {
    return;
  }
  std::swap(before, now);
  wake(key, now);
  wake(key, known_[key]);
}

void Neighbours::forget(const kube::ObjectKey& key) {
  const auto found = known_.find(key);
  if (found == known_.end()) {
    return;
  }
  const Known gone = std::move(found->second);
  known_.erase(found);
  wake(key, gone);
}

void Neighbours::wake(const kube::ObjectKey& key, const Known& one) const {
  for (const auto& [other, known] : known_) {
    const bool same_group = !one.group.empty() && known.group == one.group;
    if (other != key && other.name_space == key.name_space &&
        (same_group || share_a_name(known.names, one.names))) {
      changed_(other);
    }
  }
}

std::vector<std::string> Neighbours::collisions(const kube::ObjectKey& key) const {
  std::vector<std::string> sentences;
  const auto own = known_.find(key);
  if (own == known_.end() || !own->second.has_route) {
    return sentences;
  }
  for (const auto& [other, known] : known_) {
    const bool same_group = !known.group.empty() && known.group == own->second.group;
    if (other == key || other.name_space != key.name_space || !known.has_route || same_group) {
      continue;
    }
    for (const std::string& name : known.names) {
      if (own->second.names.contains(name)) {
        sentences.push_back(fmt::format("service '{}' also serves '{}'", other.name, name));
      }
    }
  }
  return sentences;
}

std::vector<std::string> Neighbours::take_out_divergent(const llmisvc::Service& service,
                                                        llmisvc::Facts& facts) const {
  std::vector<std::string> divergent;
  const Known own = known_of(service);
  std::erase_if(facts.group_members, [&](const llmisvc::GroupMember& member) {
    const auto found = known_.find({.name_space = service.name_space, .name = member.service});
    const bool differs = found != known_.end() && found->second.names != own.names;
    if (differs) {
      divergent.push_back(member.service);
    }
    return differs;
  });
  return divergent;
}

}  // namespace llmd::operators
