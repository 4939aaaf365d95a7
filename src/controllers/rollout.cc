#include "controllers/rollout.h"

#include <algorithm>
#include <numeric>

#include "base/strings.h"

namespace llmd::controllers {
namespace {

int sum(const std::vector<Generation>& generations, int Generation::* field) {
  return std::accumulate(generations.begin(), generations.end(), 0,
                         [field](int total, const Generation& each) { return total + each.*field; });
}

}  // namespace

int scaled_limit(const boost::json::value* value, int replicas, bool round_up) {
  constexpr int kDefaultPercent = 25;
  int percent = kDefaultPercent;
  if (value != nullptr && value->is_int64()) {
    return static_cast<int>(std::max<std::int64_t>(0, value->as_int64()));
  }
  if (value != nullptr && value->is_string()) {
    std::string_view text = value->as_string();
    text = text.ends_with('%') ? text.substr(0, text.size() - 1) : text;
    percent = static_cast<int>(parse_integer(text).value_or(kDefaultPercent));
  }
  const int product = replicas * percent;
  return round_up ? (product + 99) / 100 : product / 100;
}

RolloutLimits fenced(RolloutLimits limits) {
  if (limits.max_surge == 0 && limits.max_unavailable == 0) {
    limits.max_unavailable = 1;  // otherwise nothing could ever move
  }
  return limits;
}

RolloutPlan plan_rollout(int replicas, const RolloutLimits& limits, const Generation& newest,
                         const std::vector<Generation>& older) {
  RolloutPlan plan{newest.wanted, {}};
  for (const Generation& each : older) {
    plan.older.push_back(each.wanted);
  }
  if (limits.recreate) {
    std::ranges::fill(plan.older, 0);
    plan.newest = sum(older, &Generation::actual) > 0 ? newest.wanted : replicas;
    return plan;
  }
  // 1. The newest grows into what the surge allows, and shrinks when fewer are wanted.
  const int total = newest.wanted + sum(older, &Generation::wanted);
  const int room = std::max(0, replicas + limits.max_surge - total);
  plan.newest =
      newest.wanted > replicas ? replicas : newest.wanted + std::min(room, replicas - newest.wanted);
  // 2. Older pods that are not available serve nobody: they go first and cost no availability.
  const int minimum = replicas - limits.max_unavailable;
  const int newest_unavailable = plan.newest - newest.available;
  int may_go = std::max(0, total - minimum - std::max(0, newest_unavailable));
  for (std::size_t i = 0; i < older.size() && may_go > 0; ++i) {
    const int broken = std::clamp(older[i].wanted - older[i].available, 0, may_go);
    plan.older[i] -= broken;
    may_go -= broken;
  }
  // 3. Of the available ones, as many as are more than the minimum.
  int available = newest.available;
  for (const Generation& each : older) {
    available += std::min(each.available, each.wanted);  // pods on their way out no longer count
  }
  int spare = std::max(0, available - minimum);
  for (std::size_t i = 0; i < older.size() && spare > 0; ++i) {
    const int fewer = std::min(spare, std::max(0, plan.older[i]));
    plan.older[i] -= fewer;
    spare -= fewer;
  }
  return plan;
}

}  // namespace llmd::controllers
