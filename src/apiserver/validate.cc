#include "apiserver/validate.h"

#include <boost/json/array.hpp>

#include <algorithm>
#include <set>

#include "json/value.h"

namespace llmd::apiserver {

namespace {

using json::Array;
using json::Object;
using json::Value;

constexpr std::string_view kSubdomainRule =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
    "start and end with "
    "an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
constexpr std::string_view kLabelRule =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "
    "and end with an "
    "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
constexpr std::size_t kMaxAnnotations = 262144;

bool is_lower_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_dns_label(std::string_view text) {
  return !text.empty() && text.size() <= 63 && is_lower_alnum(text.front()) && is_lower_alnum(text.back()) &&
         std::ranges::all_of(text, [](char c) { return is_lower_alnum(c) || c == '-'; });
}

bool is_dns_subdomain(std::string_view text) {
  if (text.size() > 253) {
    return false;
  }
  while (true) {
    const std::size_t dot = text.find('.');
    const std::string_view part = text.substr(0, dot);
    if (part.empty() || !is_lower_alnum(part.front()) || !is_lower_alnum(part.back()) ||
        !std::ranges::all_of(part, [](char c) { return is_lower_alnum(c) || c == '-'; })) {
      return false;
    }
    if (dot == std::string_view::npos) {
      return true;
    }
    text.remove_prefix(dot + 1);
  }
}

bool is_label_value(std::string_view text) {
  const auto alnum = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  return text.empty() ||
         (text.size() <= 63 && alnum(text.front()) && alnum(text.back()) &&
          std::ranges::all_of(text, [&](char c) { return alnum(c) || c == '-' || c == '_' || c == '.'; }));
}

// As Go prints a map[string]string.
std::string go_map(const Object* labels) {
  std::string entries;
  if (labels) {
    for (const auto& [key, value] : *labels) {
      entries += fmt::format("{}{}:{}", entries.empty() ? "" : ", ", go_quoted(key), json::write(value));
    }
  }
  return labels ? "map[string]string{" + entries + "}" : "map[string]string(nil)";
}

std::string go_selector(const Object& selector) {
  return fmt::format("v1.LabelSelector{{MatchLabels:{}, MatchExpressions:[]v1.LabelSelectorRequirement({})}}",
                     go_map(kube::find_object(selector, "matchLabels")),
                     kube::find_array(selector, "matchExpressions") ? "..." : "nil");
}

std::string at_index(std::string_view list, std::size_t index) {
  return fmt::format("{}[{}]", list, index);
}

// Collects the mistakes of one object.
class Rules {
 public:
  Rules(const Kind& kind, const Object& object, const Object* before)
      : kind_(kind), object_(object), before_(before) {}

  std::vector<Cause> check() {
    metadata();
    if (kind_.resource == kube::kPods) {
      pod_spec("spec");
      pod_update();
    } else if (kind_.resource == kube::kDeployments || kind_.resource == kube::kReplicaSets) {
      workload();
    } else if (kind_.resource == kube::kServices) {
      service_ports();
    } else if (kind_.resource == kube::kLlmServices || kind_.resource == kube::kLlmConfigs) {
      llm_service();
    }
    return std::move(causes_);
  }

 private:
  void add(Cause cause) { causes_.push_back(std::move(cause)); }

  void metadata() {
    const std::string name(kube::name_of(object_));
    const bool label = kind_.resource == kube::kNamespaces || kind_.resource == kube::kServices;
    if (name.empty()) {
      add(required_value("metadata.name", "name or generateName is required"));
    } else if (kind_.resource.group == "rbac.authorization.k8s.io") {
      // Roles may be called system:anything.
    } else if (label ? !is_dns_label(name) : !is_dns_subdomain(name)) {
      add(invalid_value("metadata.name", go_quoted(name), label ? kLabelRule : kSubdomainRule));
    }
    if (const Object* labels = kube::find_object(object_, "metadata.labels")) {
      for (const auto& [key, value] : *labels) {
        const std::string text(value.is_string() ? std::string_view(value.get_string()) : std::string_view());
        if (!is_label_value(text)) {
          add(invalid_value("metadata.labels", go_quoted(text),
                            "a valid label must be an empty string or consist of alphanumeric characters, "
                            "'-', '_' or '.', and "
                            "must start and end with an alphanumeric character (e.g. 'MyValue',  or "
                            "'my_value',  or '12345', "
                            "regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"));
        }
      }
    }
    annotations_size();
    new_finalizers();
  }

  void annotations_size() {
    const Object* annotations = kube::find_object(object_, "metadata.annotations");
    std::size_t total = 0;
    if (annotations) {
      for (const auto& [key, value] : *annotations) {
        total += key.size() + (value.is_string() ? value.get_string().size() : 0);
      }
    }
    if (total > kMaxAnnotations) {
      add({"FieldValueTooLong", fmt::format("Too long: may not be more than {} bytes", kMaxAnnotations),
           "metadata.annotations"});
    }
  }

  void new_finalizers() {
    const Array* now = kube::find_array(object_, "metadata.finalizers");
    if (!before_ || !kube::is_being_deleted(*before_) || !now) {
      return;
    }
    const Array* old = kube::find_array(*before_, "metadata.finalizers");
    std::string added;
    for (const Value& finalizer : *now) {
      if (!old || std::ranges::find(*old, finalizer) == old->end()) {
        added += (added.empty() ? "" : ", ") + json::write(finalizer);
      }
    }
    if (!added.empty()) {
      add(forbidden_value(
          "metadata.finalizers",
          fmt::format("no new finalizers can be added if the object is being deleted, found new finalizers "
                      "[]string{{{}}}",
                      added)));
    }
  }

  void not_negative(const std::string& path) {
    if (const std::int64_t number = kube::find_int(object_, path, 0); number < 0) {
      add(invalid_value(path, std::to_string(number), "must be greater than or equal to 0"));
    }
  }

  void containers(const std::string& path, bool needed) {
    const Array* list = kube::find_array(object_, path);
    if (!list || list->empty()) {
      if (needed) {
        add(required_value(path));
      }
      return;
    }
    std::set<std::string, std::less<>> names;
    for (std::size_t i = 0; i < list->size(); ++i) {
      if (!(*list)[i].is_object()) {
        continue;
      }
      const Object& container = (*list)[i].get_object();
      const std::string name(kube::find_string(container, "name"));
      const std::string where = at_index(path, i);
      if (name.empty()) {
        add(required_value(where + ".name"));
      } else if (!is_dns_label(name)) {
        add(invalid_value(where + ".name", go_quoted(name), kLabelRule));
      } else if (!names.insert(name).second) {
        add({"FieldValueDuplicate", "Duplicate value: " + go_quoted(name), where + ".name"});
      }
      if (kube::find_string(container, "image").empty()) {
        add(required_value(where + ".image"));
      }
    }
  }

  void pod_spec(const std::string& path) {
    containers(path + ".containers", true);
    containers(path + ".initContainers", false);
    const std::string policy(kube::find_string(object_, path + ".restartPolicy"));
    if (policy != "Always" && policy != "OnFailure" && policy != "Never") {
      add(unsupported_value(path + ".restartPolicy", policy, {"Always", "OnFailure", "Never"}));
    }
  }

  // A running process cannot be given another specification; only what the node can follow may change.
  void pod_update() {
    if (!before_) {
      return;
    }
    const auto frozen = [](const Object& object) {
      Object spec = kube::find_object(object, "spec") ? *kube::find_object(object, "spec") : Object();
      for (const std::string_view free : {"activeDeadlineSeconds", "tolerations",
                                          "terminationGracePeriodSeconds", "nodeName", "schedulingGates"}) {
        spec.erase(free);
      }
      for (const std::string_view list : {"containers", "initContainers"}) {
        if (Value* items = spec.if_contains(list); items && items->is_array()) {
          for (Value& item : items->get_array()) {
            if (item.is_object()) {
              item.get_object().erase("image");
            }
          }
        }
      }
      return spec;
    };
    const std::string_view node = kube::find_string(*before_, "spec.nodeName");
    if (frozen(object_) != frozen(*before_) ||
        (!node.empty() && node != kube::find_string(object_, "spec.nodeName"))) {
      add(forbidden_value(
          "spec",
          "pod updates may not change fields other than `spec.containers[*].image`,"
          "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to "
          "existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
          "previously negative)"));
    }
  }

  void workload() {
    not_negative("spec.replicas");
    not_negative("spec.minReadySeconds");
    const Object* selector = kube::find_object(object_, "spec.selector");
    const Object* labels_of = kube::find_object(object_, "spec.template");
    if (!selector ||
        (!kube::find_object(*selector, "matchLabels") && !kube::find_array(*selector, "matchExpressions"))) {
      add(required_value("spec.selector"));
    } else if (labels_of && !kube::selector_matches(*selector, *labels_of)) {
      const Object* labels = kube::find_object(*labels_of, "metadata.labels");
      add(invalid_value("spec.template.metadata.labels", go_map(labels),
                        "`selector` does not match template `labels`"));
    }
    if (before_ && selector && kube::find_object(*before_, "spec.selector") &&
        *selector != *kube::find_object(*before_, "spec.selector")) {
      add(invalid_value("spec.selector", go_selector(*selector), "field is immutable"));
    }
    if (labels_of) {
      pod_spec("spec.template.spec");
    }
  }

  void service_ports() {
    const Array* ports = kube::find_array(object_, "spec.ports");
    for (std::size_t i = 0; ports && i < ports->size(); ++i) {
      if (!(*ports)[i].is_object()) {
        continue;
      }
      const std::int64_t port = kube::find_int((*ports)[i].get_object(), "port", 0);
      if (port < 1 || port > 65535) {
        add(invalid_value(at_index("spec.ports", i) + ".port", std::to_string(port),
                          "must be between 1 and 65535, inclusive"));
      }
      if (ports->size() > 1 && kube::find_string((*ports)[i].get_object(), "name").empty()) {
        add(required_value(at_index("spec.ports", i) + ".name"));
      }
    }
  }

  void llm_service() {
    const std::string criticality(kube::find_string(object_, "spec.model.criticality"));
    // "Normal" is what older guides say for Standard.
    if (!criticality.empty() && criticality != "Critical" && criticality != "Standard" &&
        criticality != "Sheddable" && criticality != "Normal") {
      add(unsupported_value("spec.model.criticality", criticality, {"Critical", "Standard", "Sheddable"}));
    }
    not_negative("spec.replicas");
    not_negative("spec.prefill.replicas");
  }

  const Kind& kind_;
  const Object& object_;
  const Object* before_;
  std::vector<Cause> causes_;
};

}  // namespace

std::vector<Cause> validate(const Kind& kind, const Object& object, const Object* before) {
  return Rules(kind, object, before).check();
}

}  // namespace llmd::apiserver
