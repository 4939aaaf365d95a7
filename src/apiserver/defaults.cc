#include "apiserver/defaults.h"

#include <boost/json/array.hpp>

#include "crypto/encode.h"
#include "json/value.h"

namespace llmd::apiserver {

namespace {

using json::Array;
using json::Object;
using json::Value;
using kube::Shape;
using kube::Type;

void set_missing(Object& object, std::string_view key, Value value) {
  Value& member = object[key];
  if (member.is_null()) {
    member = std::move(value);
  }
}

// The defaults of the schema table, in every struct that is there.
void fill(Value& value, const Type& type) {
  if (value.is_object() && type.shape == Shape::Struct) {
    Object& object = value.get_object();
    for (const kube::SchemaField& field : type.definition->fields) {
      if (field.fallback) {
        set_missing(object, field.name, *field.fallback);
      }
      if (Value* member = object.if_contains(field.name)) {
        fill(*member, *field.type);
      }
    }
  } else if (value.is_array() && type.shape == Shape::List) {
    for (Value& item : value.get_array()) {
      fill(item, *type.element);
    }
  } else if (value.is_object() && type.shape == Shape::Map) {
    for (auto&& entry : value.get_object()) {
      fill(entry.value(), *type.element);
    }
  }
}

std::string_view default_pull_policy(std::string_view image) {
  const std::string_view name =
      image.substr(image.rfind('/') == std::string_view::npos ? 0 : image.rfind('/'));
  const std::size_t colon = name.rfind(':');
  const bool digest = name.find('@') != std::string_view::npos;
  const bool latest = !digest && (colon == std::string_view::npos || name.substr(colon) == ":latest");
  return latest ? "Always" : "IfNotPresent";
}

// Extended resources (GPUs) cannot be overcommitted: their limit is their request. Others are requested as
// limited.
void balance_resources(Object& container) {
  Value* resources = container.if_contains("resources");
  if (!resources || !resources->is_object()) {
    return;
  }
  Object& both = resources->get_object();
  if (Value* limits = both.if_contains("limits"); limits && limits->is_object()) {
    const Object wanted = limits->get_object();
    Value& requests = both["requests"];
    if (!requests.is_object()) {
      requests.emplace_object();
    }
    for (const auto& [name, quantity] : wanted) {
      set_missing(requests.get_object(), name, quantity);
    }
  }
  const Value* requests = both.if_contains("requests");
  if (!requests || !requests->is_object()) {
    return;
  }
  for (const auto& [name, quantity] : Object(requests->get_object())) {
    if (std::string_view(name).find('/') != std::string_view::npos) {
      Value& limits = both["limits"];
      if (!limits.is_object()) {
        limits.emplace_object();
      }
      set_missing(limits.get_object(), name, quantity);
    }
  }
}

template <typename Function>
void for_each_container(Object& pod_spec, Function function) {
  for (const std::string_view list : {"initContainers", "containers"}) {
    Value* containers = pod_spec.if_contains(list);
    if (!containers || !containers->is_array()) {
      continue;
    }
    for (Value& container : containers->get_array()) {
      if (container.is_object()) {
        function(container.get_object());
      }
    }
  }
}

void fill_pod_spec(Object& spec) {
  for_each_container(spec, [](Object& container) {
    if (const std::string_view image = kube::find_string(container, "image"); !image.empty()) {
      set_missing(container, "imagePullPolicy", Value(std::string(default_pull_policy(image))));
    }
  });
  const std::string account(kube::find_string(spec, "serviceAccountName"));
  const std::string old_account(kube::find_string(spec, "serviceAccount"));
  if (!account.empty() || !old_account.empty()) {
    spec["serviceAccountName"] = account.empty() ? old_account : account;
    spec["serviceAccount"] = account.empty() ? old_account : account;
  }
}

void fill_deployment(Object& object) {
  Value& strategy = kube::at(object, "spec.strategy");
  if (!strategy.is_object() || kube::find_string(object, "spec.strategy.type") != "RollingUpdate") {
    return;
  }
  for (const std::string_view key :
       {"spec.strategy.rollingUpdate.maxUnavailable", "spec.strategy.rollingUpdate.maxSurge"}) {
    if (Value& share = kube::at(object, key); share.is_null()) {
      share = "25%";
    }
  }
}

void fill_service(Object& object) {
  Value& spec_value = object["spec"];
  if (!spec_value.is_object()) {
    spec_value.emplace_object();
  }
  Object& spec = spec_value.get_object();
  if (Value* ports = spec.if_contains("ports"); ports && ports->is_array()) {
    for (Value& port : ports->get_array()) {
      if (port.is_object() && port.get_object().contains("port")) {
        set_missing(port.get_object(), "targetPort", port.get_object().at("port"));
      }
    }
  }
  if (kube::find_string(spec, "type") == "ExternalName") {
    return;
  }
  // There is no virtual address that somebody would forward: clients use the addresses of the endpoints.
  set_missing(spec, "clusterIP", "None");
  set_missing(spec, "clusterIPs", Array{Value("None")});
  set_missing(spec, "internalTrafficPolicy", "Cluster");
  set_missing(spec, "ipFamilies", Array{Value("IPv4")});
  set_missing(spec, "ipFamilyPolicy", "SingleStack");
}

void fill_namespace(Object& object) {
  kube::at(object, "metadata.labels");
  Value& labels = kube::at(object, "metadata.labels");
  if (!labels.is_object()) {
    labels.emplace_object();
  }
  labels.get_object()["kubernetes.io/metadata.name"] = kube::name_of(object);
}

// Plain text is a convenience of writing; only the encoded form is stored.
void fill_secret(Object& object) {
  const Object* plain = kube::find_object(object, "stringData");
  if (!plain) {
    object.erase("stringData");
    return;
  }
  const Object given = *plain;
  Value& data = object["data"];
  if (!data.is_object()) {
    data.emplace_object();
  }
  for (const auto& [key, value] : given) {
    if (value.is_string()) {
      data.get_object()[key] = crypto::to_base64(std::string_view(value.get_string()));
    }
  }
  object.erase("stringData");
}

Object* pod_spec_of(const Kind& kind, Object& object) {
  const std::string_view path = kind.resource == kube::kPods ? "spec" : "spec.template.spec";
  const bool has_template = kind.resource == kube::kPods || kind.resource == kube::kDeployments ||
                            kind.resource == kube::kReplicaSets;
  return has_template ? const_cast<Object*>(kube::find_object(object, path)) : nullptr;
}

// BestEffort, Burstable or Guaranteed, from requests and limits.
std::string_view quality_class(Object& spec) {
  bool any = false;
  bool all_equal = true;
  for_each_container(spec, [&](Object& container) {
    for (const std::string_view resource : {"cpu", "memory"}) {
      const Object* limits = kube::find_object(container, "resources.limits");
      const Object* requests = kube::find_object(container, "resources.requests");
      const Value* limit = limits ? limits->if_contains(resource) : nullptr;
      const Value* request = requests ? requests->if_contains(resource) : nullptr;
      any = any || limit || request;
      all_equal = all_equal && limit && request && *limit == *request;
    }
  });
  return !any ? "BestEffort" : all_equal ? "Guaranteed" : "Burstable";
}

}  // namespace

void apply_defaults(const Kind& kind, Object& object) {
  if (kind.custom || !kind.schema) {
    return;
  }
  if (Object* spec = pod_spec_of(kind, object)) {
    fill_pod_spec(*spec);
  }
  Value whole(std::move(object));
  fill(whole, *kind.schema);
  object = std::move(whole.get_object());
  if (kind.resource == kube::kDeployments) {
    fill_deployment(object);
  } else if (kind.resource == kube::kServices) {
    fill_service(object);
  } else if (kind.resource == kube::kNamespaces) {
    fill_namespace(object);
  } else if (kind.resource == kube::kSecrets) {
    fill_secret(object);
  } else if (kind.resource == kube::kPods) {
    if (Object* spec = pod_spec_of(kind, object)) {
      for_each_container(*spec, balance_resources);
    }
  }
}

void apply_creation_defaults(const Kind& kind, Object& object) {
  if (kind.resource == kube::kNamespaces) {
    kube::at(object, "spec.finalizers") = Array{Value("kubernetes")};
    kube::at(object, "status.phase") = "Active";
  } else if (kind.resource == kube::kPods) {
    Object* spec = pod_spec_of(kind, object);
    if (spec) {
      set_missing(*spec, "serviceAccountName", "default");
      set_missing(*spec, "serviceAccount", spec->at("serviceAccountName"));
      set_missing(*spec, "enableServiceLinks", true);
      kube::at(object, "status.qosClass") = quality_class(*spec);
    }
    kube::at(object, "status.phase") = "Pending";
  } else if (kind.resource == kube::kServices) {
    Value& balancer = kube::at(object, "status.loadBalancer");
    if (!balancer.is_object()) {
      balancer.emplace_object();
    }
  } else if (kind.has_status && !kind.custom) {
    Value& status = object["status"];
    if (!status.is_object()) {
      status.emplace_object();
    }
  }
}

}  // namespace llmd::apiserver
