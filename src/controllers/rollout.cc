#include "controllers/rollout.h"

#include <algorithm>
#include <vector>

#include "base/strings.h"
#include "json/value.h"

namespace llmd::controllers {

namespace {

std::int64_t share_of(const boost::json::value* value, std::int64_t replicas, bool round_up,
                      std::int64_t fallback) {
  if (!value) {
    return fallback;
  }
  if (value->is_string()) {
    const std::string_view text(value->get_string());
    const auto percent = parse_integer(text.substr(0, text.find('%')));
    if (!percent || !text.ends_with('%')) {
      return fallback;
    }
    return (*percent * replicas + (round_up ? 99 : 0)) / 100;
  }
  return value->is_int64() ? value->get_int64() : fallback;
}

// Canonical: equal templates give equal text, whatever the order of their members.
void write_sorted(const boost::json::value& value, std::string& out) {
  if (value.is_object()) {
    std::vector<std::string> keys;
    for (const auto& member : value.get_object()) {
      keys.emplace_back(member.key());
    }
    std::ranges::sort(keys);
    for (const std::string& key : keys) {
      out += key + ":";
      write_sorted(value.get_object().at(key), out);
    }
    out += "}";
  } else if (value.is_array()) {
    for (const auto& item : value.get_array()) {
      write_sorted(item, out);
      out += ",";
    }
    out += "]";
  } else {
    out += json::write(value) + ";";
  }
}

}  // namespace

RolloutLimits rollout_limits(const kube::Object& deployment) {
  const std::int64_t replicas = kube::find_int(deployment, "spec.replicas", 1);
  RolloutLimits limits;
  limits.surge = share_of(kube::find(deployment, "spec.strategy.rollingUpdate.maxSurge"), replicas, true, 1);
  limits.unavailable =
      share_of(kube::find(deployment, "spec.strategy.rollingUpdate.maxUnavailable"), replicas, false, 0);
  if (limits.surge == 0 && limits.unavailable == 0) {
    limits.unavailable = 1;  // both zero would never move
  }
  return limits;
}

RolloutStep next_rollout_step(std::int64_t wanted, RolloutLimits limits, SetSize fresh,
                              const std::vector<SetSize>& outdated) {
  RolloutStep step{fresh.replicas, {}};
  std::int64_t total = fresh.replicas;
  std::int64_t available = fresh.available;
  for (const SetSize& set : outdated) {
    step.outdated.push_back(set.replicas);
    total += set.replicas;
    available += set.available;
  }
  // 1. Grow the new set as far as the surge allows; shrink it when fewer are wanted.
  if (fresh.replicas > wanted) {
    step.fresh = wanted;
  } else if (total < wanted + limits.surge) {
    step.fresh = fresh.replicas + std::min(wanted + limits.surge - total, wanted - fresh.replicas);
  }
  // 2. Shrink old sets: first pods that serve nobody, then as many as availability allows.
  const std::int64_t least = wanted - limits.unavailable;
  const std::int64_t fresh_unavailable = std::max<std::int64_t>(0, fresh.replicas - fresh.available);
  std::int64_t budget = std::max<std::int64_t>(0, total - least - fresh_unavailable);
  for (std::size_t i = 0; i < outdated.size() && budget > 0; ++i) {
    const std::int64_t useless =
        std::min(budget, std::max<std::int64_t>(0, outdated[i].replicas - outdated[i].available));
    step.outdated[i] -= useless;
    budget -= useless;
  }
  std::int64_t spare = std::min(budget, std::max<std::int64_t>(0, available - least));
  for (std::size_t i = 0; i < outdated.size() && spare > 0; ++i) {
    const std::int64_t gone = std::min(spare, step.outdated[i]);
    step.outdated[i] -= gone;
    spare -= gone;
  }
  return step;
}

std::string template_hash(const kube::Object& pod_template, std::int64_t collisions) {
  static constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string text;
  write_sorted(boost::json::value(pod_template), text);
  text += std::to_string(collisions);
  std::uint64_t hash = 14695981039346656037ULL;  // FNV-1a
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  }
  std::string out;
  for (int i = 0; i < 10; ++i) {
    out += kAlphabet[hash % kAlphabet.size()];
    hash /= kAlphabet.size();
  }
  return out;
}

}  // namespace llmd::controllers
