#include "picker/plugins/burst_assignment.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_set>
#include <utility>

namespace llmd::picker {
namespace {

using Prompt = std::vector<kvcache::BlockHash>;

struct Unit {
  const Prompt* prompt = nullptr;
  std::vector<std::size_t> requests;  // positions, in the order of arrival
};

// The hash of a block covers everything before it: equal last blocks are equal prompts.
std::vector<Unit> units_of(std::span<const Prompt> prompts, std::size_t least_shared) {
  std::vector<Unit> all;
  std::map<std::pair<std::size_t, kvcache::BlockHash>, std::size_t> known;
  std::map<kvcache::BlockHash, std::size_t> sharing;  // requests that begin alike
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const Prompt& prompt = prompts[i];
    if (prompt.empty()) {
      continue;
    }
    const auto [unit, is_new] = known.try_emplace({prompt.size(), prompt.back()}, all.size());
    if (is_new) {
      all.push_back({.prompt = &prompt, .requests = {}});
    }
    all[unit->second].requests.push_back(i);
    if (least_shared > 0 && prompt.size() >= least_shared) {
      ++sharing[prompt[least_shared - 1]];
    }
  }
  std::erase_if(all, [&](const Unit& unit) {
    const bool shares = least_shared > 0 && unit.prompt->size() >= least_shared &&
                        sharing[(*unit.prompt)[least_shared - 1]] > 1;
    return unit.requests.size() < 2 && !shares;
  });
  std::ranges::sort(all, {}, [](const Unit& unit) {
    const auto blocks = static_cast<std::int64_t>(unit.prompt->size());
    return std::tuple(unit.requests.size() < 2, -blocks, unit.requests.front());
  });
  return all;
}

class Placement {
 public:
  Placement(std::span<const BurstEndpoint> endpoints, const BurstRules& rules, std::int64_t total)
      : endpoints_(endpoints),
        rules_(rules),
        share_((total + std::ssize(endpoints) - 1) / std::ssize(endpoints)),
        load_(endpoints.size()),
        held_(endpoints.size()) {}

  void place(const Unit& unit, std::vector<std::optional<std::size_t>>& assigned) {
    std::vector<std::size_t> shared(endpoints_.size());
    for (std::size_t i = 0; prefixes_count() && i < endpoints_.size(); ++i) {
      shared[i] = leading(i, *unit.prompt);
    }
    std::vector<std::int64_t> taken(endpoints_.size());
    for (std::size_t done = 0; done < unit.requests.size();) {
      const auto near = done == 0 ? nearest(shared) : std::nullopt;
      const std::size_t chosen = near ? *near : least_loaded(taken);
      const auto left = static_cast<std::int64_t>(unit.requests.size() - done);
      // With all endpoints full the rest goes one by one to whoever has the least.
      const std::int64_t room = rules_.most_per_endpoint < 0
                                    ? left
                                    : std::max<std::int64_t>(rules_.most_per_endpoint - taken[chosen], 1);
      const std::int64_t count = std::min(left, room);
      for (std::int64_t i = 0; i < count; ++i) {
        assigned[unit.requests[done++]] = chosen;
      }
      if (rules_.by_blocks && taken[chosen] == 0) {
        load_[chosen] += static_cast<std::int64_t>(unit.prompt->size() - shared[chosen]);
      } else if (!rules_.by_blocks) {
        load_[chosen] += count;
      }
      taken[chosen] += count;
    }
    for (std::size_t i = 0; prefixes_count() && i < endpoints_.size(); ++i) {
      if (taken[i] > 0) {
        held_[i].insert(unit.prompt->begin() + static_cast<std::ptrdiff_t>(shared[i]), unit.prompt->end());
      }
    }
  }

 private:
  // Whoever holds a block holds what stands before it.
  std::size_t leading(std::size_t endpoint, const Prompt& prompt) const {
    const auto end = std::ranges::partition_point(
        prompt, [&](kvcache::BlockHash block) { return held_[endpoint].contains(block); });
    return static_cast<std::size_t>(end - prompt.begin());
  }
  // Otherwise nobody asks who holds what.
  bool prefixes_count() const { return rules_.least_shared > 0 || rules_.by_blocks; }

  auto order_of(std::size_t endpoint) const {
    return std::tuple(load_[endpoint], endpoints_[endpoint].running, endpoints_[endpoint].name);
  }

  std::optional<std::size_t> nearest(std::span<const std::size_t> shared) const {
    std::optional<std::size_t> best;
    for (std::size_t i = 0; i < shared.size(); ++i) {
      if (rules_.least_shared == 0 || shared[i] < rules_.least_shared || load_[i] >= share_) {
        continue;
      }
      if (!best || shared[i] > shared[*best] ||
          (shared[i] == shared[*best] && order_of(i) < order_of(*best))) {
        best = i;
      }
    }
    return best;
  }

  std::size_t least_loaded(std::span<const std::int64_t> taken) const {
    const auto is_full = [&](std::size_t i) {
      return rules_.most_per_endpoint >= 0 && taken[i] >= rules_.most_per_endpoint;
    };
    std::size_t best = 0;
    for (std::size_t i = 1; i < taken.size(); ++i) {
      if (std::pair(is_full(i), order_of(i)) < std::pair(is_full(best), order_of(best))) {
        best = i;
      }
    }
    return best;
  }

  const std::span<const BurstEndpoint> endpoints_;
  const BurstRules& rules_;
  const std::int64_t share_;
  std::vector<std::int64_t> load_;
  std::vector<std::unordered_set<kvcache::BlockHash>> held_;
};

}  // namespace

std::vector<std::optional<std::size_t>> assign_burst(std::span<const Prompt> prompts,
                                                     std::span<const BurstEndpoint> endpoints,
                                                     const BurstRules& rules) {
  std::vector<std::optional<std::size_t>> assigned(prompts.size());
  if (endpoints.empty()) {
    return assigned;
  }
  const auto units = units_of(prompts, rules.least_shared);
  std::int64_t total = 0;
  for (const Unit& unit : units) {
    total += static_cast<std::int64_t>(rules.by_blocks ? unit.prompt->size() : unit.requests.size());
  }
  Placement placement(endpoints, rules, total);
  for (const Unit& unit : units) {
    placement.place(unit, assigned);
  }
  return assigned;
}

}  // namespace llmd::picker
