#include "gateway/conditions.h"

#include <boost/json/value.hpp>

#include <algorithm>

namespace llmd::gateway {

boost::json::array conditions_after(const boost::json::array* before,
                                    const std::vector<Condition>& conditions, std::int64_t generation,
                                    std::string_view now) {
  boost::json::array after;
  if (before != nullptr) {
    after = *before;
  }
  for (const Condition& condition : conditions) {
    const std::string_view status = condition.holds ? "True" : "False";
    const auto same_type = [&](const boost::json::value& each) {
      return each.is_object() && kube::find_string(each.get_object(), "type") == condition.type;
    };
    auto place = std::ranges::find_if(after, same_type);
    std::string since(now);
    if (place == after.end()) {
      after.emplace_back(nullptr);
      place = after.end() - 1;
    } else if (kube::find_string(place->get_object(), "status") == status) {
      since = kube::find_string(place->get_object(), "lastTransitionTime");
    }
    *place = boost::json::object{{"type", condition.type},           {"status", status},
                                 {"observedGeneration", generation}, {"lastTransitionTime", since},
                                 {"reason", condition.reason},       {"message", condition.message}};
  }
  return after;
}

}  // namespace llmd::gateway
