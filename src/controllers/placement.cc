#include "controllers/placement.h"

#include <boost/json/array.hpp>

#include <algorithm>
#include <map>

#include "base/strings.h"
#include "controllers/pods.h"

namespace llmd::controllers {

namespace {

using boost::json::array;
using kube::find_array;
using kube::find_object;
using kube::find_string;
using kube::Object;
using Amounts = std::map<std::string, long long>;

long long whole_number(const boost::json::value& value) {
  if (value.is_string()) {
    return parse_integer(std::string_view(value.get_string())).value_or(0);
  }
  return value.is_int64() ? value.get_int64() : 0;
}

void add_extended(const Object* amounts, Amounts& into) {
  for (std::size_t i = 0; amounts && i < amounts->size(); ++i) {
    const auto& entry = *(amounts->begin() + static_cast<std::ptrdiff_t>(i));
    if (const std::string name(entry.key()); name.find('/') != std::string::npos) {
      into[name] += whole_number(entry.value());
    }
  }
}

Amounts wanted_by(const Object& pod) {
  Amounts amounts;
  if (const array* containers = find_array(pod, "spec.containers")) {
    for (const auto& container : *containers) {
      if (container.is_object()) {
        add_extended(find_object(container.get_object(), "resources.requests"), amounts);
      }
    }
  }
  return amounts;
}

bool has_labels(const Object& node, const Object* wanted) {
  if (!wanted) {
    return true;
  }
  Object selector;
  selector["matchLabels"] = *wanted;
  return kube::selector_matches(selector, node);
}

// Empty when the node takes the pod.
std::string objection(const Object& node, const Object& pod, const std::vector<const Object*>& pods) {
  const Object* ready = kube::find_condition(node, "Ready");
  if (!ready || find_string(*ready, "status") != "True") {
    return "node(s) had untolerated taint {node.kubernetes.io/not-ready: }";
  }
  if (kube::find_bool(node, "spec.unschedulable", false)) {
    return "node(s) were unschedulable";
  }
  if (!has_labels(node, find_object(pod, "spec.nodeSelector"))) {
    return "node(s) didn't match Pod's node affinity/selector";
  }
  Amounts available;
  add_extended(find_object(node, "status.allocatable"), available);
  for (const Object* other : pods) {
    if (find_string(*other, "spec.nodeName") == kube::name_of(node) && !is_finished(*other)) {
      for (const auto& [name, amount] : wanted_by(*other)) {
        available[name] -= amount;
      }
    }
  }
  for (const auto& [name, amount] : wanted_by(pod)) {
    if (available[name] < amount) {
      return "Insufficient " + name;
    }
  }
  return {};
}

}  // namespace

Placement place(const Object& pod, const std::vector<const Object*>& nodes,
                const std::vector<const Object*>& pods) {
  std::map<std::string, int> objections;
  for (const Object* node : nodes) {
    const std::string why = objection(*node, pod, pods);
    if (why.empty()) {
      return {std::string(kube::name_of(*node)), {}};
    }
    ++objections[why];
  }
  if (nodes.empty()) {
    return {{}, "no nodes available to schedule pods"};
  }
  std::string reasons;
  for (const auto& [why, count] : objections) {
    reasons += fmt::format("{}{} {}", reasons.empty() ? "" : ", ", count, why);
  }
  return {{}, fmt::format("0/{} nodes are available: {}.", nodes.size(), reasons)};
}

}  // namespace llmd::controllers
