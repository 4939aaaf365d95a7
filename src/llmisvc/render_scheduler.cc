// The endpoint picker: Deployment, Service, accounts, the pool in both API groups, and what criticality asks
// for.
#include <algorithm>

#include "json/path.h"
#include "json/yaml.h"
#include "llmisvc/child_name.h"
#include "llmisvc/labels.h"
#include "llmisvc/pod_edit.h"
#include "llmisvc/pod_features.h"
#include "llmisvc/render_parts.h"
#include "llmisvc/scheduler_config.h"
#include "llmisvc/storage_credentials.h"

namespace llmd::llmisvc {
namespace {

// However many dashes and whichever spelling: pickers take them all.
bool has_config_flag(const json::Object& container) {
  return has_flag(container, {"--config-text", "-config-text", "--configText", "-configText", "--config-file",
                              "-config-file", "--configFile", "-configFile"});
}

// What the author configured, brought to the picker's version. Text that holds no object is left alone.
Result<std::string> own_config(json::Object& main, const Scheduler& scheduler) {
  json::Value config = *scheduler.config;
  if (config.is_string()) {
    auto parsed = json::parse_yaml(std::string(config.get_string()), "scheduler.config");
    if (!parsed || parsed->size() != 1 || !parsed->front().value.is_object()) {
      return std::string(config.get_string());
    }
    config = parsed->front().value;
  }
  const auto* annotated = scheduler.annotations.if_contains("app.kubernetes.io/version");
  const std::string text =
      annotated != nullptr && annotated->is_string() ? std::string(annotated->get_string()) : "";
  LLMD_TRY(const SchedulerVersion version, scheduler_version(text));
  if (config.is_object()) {
    if (version >= SchedulerVersion{0, 7}) {
      for (const char* key : {"command", "args"}) {
        if (main.contains(key)) {
          auto words = words_in(main, key);
          move_metric_flags(words, config.get_object());
          main[key] = text_list(words);
        }
      }
    }
    migrate_scheduler_config(config.get_object(), version);
  }
  return json::write_yaml(config);
}

// What the author configured wins; then a flag in the template; then the default for the shape of the
// service.
Result<void> add_config(json::Object& main, const Service& service) {
  const Scheduler& scheduler = *service.router->scheduler;
  std::string text;
  if (scheduler.config) {
    LLMD_TRY(text, own_config(main, scheduler));
  } else if (has_config_flag(main)) {
    return {};
  } else {
    text = json::write_yaml(
        json::Value(default_scheduler_config(service.prefill.has_value(), !service.model.adapters.empty())));
  }
  json::Array& args = list_in(main, "args");
  args.emplace_back("--config-text");
  args.push_back(text_value(text));
  return {};
}

Result<void> render_deployment(const Service& service, const Facts& facts, Objects& objects) {
  const Scheduler& scheduler = *service.router->scheduler;
  json::Object pod = *scheduler.pod;
  if (json::Object* main = find_container(pod, "main")) {
    LLMD_TRY_VOID(add_config(*main, service));
    add_scheduler_tracing(*main, service);
    if (scheduler.replicas.value_or(1) > 1 && !has_flag(*main, {"--ha-enable-leader-election"})) {
      list_in(*main, "args").emplace_back("--ha-enable-leader-election");
    }
    if (facts.tls) {
      for (const char* flag : {"--enable-cert-reload=true", "--secure-serving=true",
                               "--model-server-metrics-scheme=https", "--cert-path=/var/run/kserve/tls"}) {
        list_in(*main, "args").emplace_back(flag);
      }
    }
    if (facts.platform == Platform::Cluster) {
      add_mount(*main, "tls-certs", "/var/run/kserve/tls", true);
      add_volume(pod, "tls-certs",
                 {{"secret", {{"secretName", child_name(service.name, "-kserve-self-signed-certs")}}}});
    }
  }
  json::Object labels = labels_of(service, kScheduler);
  json::Object pod_labels = labels;
  for (const auto& member : scheduler.labels) {
    pod_labels[member.key()] = member.value();
  }
  json::Object metadata{{"labels", std::move(pod_labels)}};
  if (!scheduler.annotations.empty()) {
    metadata["annotations"] = scheduler.annotations;
  }
  json::Object deployment =
      child(service, "apps/v1", "Deployment", child_name(service.name, "-kserve-router-scheduler"), labels);
  deployment["spec"] = {{"replicas", scheduler.replicas.value_or(1)},
                        {"selector", {{"matchLabels", std::move(labels)}}},
                        {"strategy", {{"type", "Recreate"}}},
                        {"template", {{"metadata", std::move(metadata)}, {"spec", std::move(pod)}}}};
  objects.push_back(std::move(deployment));
  return {};
}

void render_service(const Service& service, Objects& objects) {
  const Scheduler& scheduler = *service.router->scheduler;
  static constexpr std::string_view kNames[] = {"grpc", "grpc-health", "metrics", "zmq"};
  std::vector<json::Object> ports;
  const json::Value pod(*scheduler.pod);
  if (const auto* containers = json::array_at(pod, "containers")) {
    for (const json::Value& container : *containers) {
      const auto* list = json::array_at(container, "ports");
      for (const json::Value& port : list != nullptr ? *list : json::Array()) {
        const std::string_view name = json::string_at(port, "name").value_or("");
        if (std::ranges::find(kNames, name) != std::end(kNames)) {
          ports.push_back({{"name", text_value(name)},
                           {"port", json::int_at(port, "containerPort").value_or(0)},
                           {"protocol", "TCP"},
                           {"targetPort", text_value(name)}});
        }
      }
    }
  }
  std::ranges::sort(ports, {},
                    [](const json::Object& port) { return std::string(port.at("name").get_string()); });
  const json::Value spec(scheduler.pool_spec.value_or(json::Object()));
  const std::string name(json::string_at(spec, "endpointPickerRef.name").value_or(""));
  json::Object object =
      child(service, "v1", "Service", name.empty() ? child_name(service.name, "-epp-service") : name,
            labels_of(service, kScheduler));
  object["spec"] = {{"ports", json::Array(ports.begin(), ports.end())},
                    {"selector", labels_of(service, kScheduler)},
                    {"type", "ClusterIP"}};
  objects.push_back(std::move(object));
}

json::Object rule(const std::vector<std::string>& groups, const std::vector<std::string>& resources,
                  const std::vector<std::string>& verbs = {"get", "list", "watch"}) {
  return {{"apiGroups", text_list(groups)}, {"resources", text_list(resources)}, {"verbs", text_list(verbs)}};
}

json::Array picker_rules() {
  const std::string v1 = "inference.networking.k8s.io";
  const std::string x = "inference.networking.x-k8s.io";
  return {rule({""}, {"pods"}),
          rule({v1, x}, {"inferencepools", "inferenceobjectives", "inferencemodels"}),
          rule({x}, {"inferencemodelrewrites", "inferencepoolimports"}),
          rule({"llm-d.ai"}, {"inferenceobjectives", "inferencemodelrewrites"}),
          rule({"discovery.k8s.io"}, {"endpointslices"}),
          rule({"coordination.k8s.io"}, {"leases"},
               {"get", "list", "watch", "create", "update", "patch", "delete"})};
}

json::Object binding_subject(const Service& service, std::string_view account) {
  return {{"kind", "ServiceAccount"}, {"name", text_value(account)}, {"namespace", service.name_space}};
}

json::Object role_ref(std::string_view kind, std::string_view name) {
  return {{"apiGroup", "rbac.authorization.k8s.io"}, {"kind", text_value(kind)}, {"name", text_value(name)}};
}

void add_role(const Service& service, const std::string& role_name, const std::string& binding_name,
              std::string_view account, json::Object labels, json::Array rules, Objects& objects) {
  json::Object role = child(service, "rbac.authorization.k8s.io/v1", "Role", role_name, labels);
  role["rules"] = std::move(rules);
  objects.push_back(std::move(role));
  json::Object binding =
      child(service, "rbac.authorization.k8s.io/v1", "RoleBinding", binding_name, std::move(labels));
  binding["roleRef"] = role_ref("Role", role_name);
  binding["subjects"] = json::Array{binding_subject(service, account)};
  objects.push_back(std::move(binding));
}

void render_accounts(const Service& service, const Facts& facts, Objects& objects) {
  const std::string own = child_name(service.name, "-epp-sa");
  const std::string used(
      json::string_at(json::Value(*service.router->scheduler->pod), "serviceAccountName").value_or(own));
  if (used == own) {
    json::Object account = child(service, "v1", "ServiceAccount", own, labels_of(service, kScheduler));
    copy_account(service.main.pod.value_or(json::Object()), service, facts, true, account);
    objects.push_back(std::move(account));
  }
  add_role(service, child_name(service.name, "-epp-role"), child_name(service.name, "-epp-rb"), used,
           labels_of(service, kScheduler), picker_rules(), objects);
  json::Object binding = child(service, "rbac.authorization.k8s.io/v1", "ClusterRoleBinding",
                               child_name(service.name_space, "-" + service.name + "-epp-auth-rb"),
                               labels_of(service, kScheduler));
  // Cluster-scoped: no namespace and, since owners must not be namespaced, no owner; the finalizer removes
  // it.
  binding["metadata"].as_object().erase("namespace");
  binding["metadata"].as_object().erase("ownerReferences");
  binding["roleRef"] = role_ref("ClusterRole", "system:auth-delegator");
  binding["subjects"] = json::Array{binding_subject(service, used)};
  objects.push_back(std::move(binding));
}

void render_pools(const Service& service, const Facts& facts, Objects& objects) {
  const std::string name = child_name(service.name, "-inference-pool");
  const json::Object spec = service.router->scheduler->pool_spec.value_or(json::Object());
  const json::Value value(spec);
  if (facts.has_inference_pool_v1) {
    json::Object pool = child(service, "inference.networking.k8s.io/v1", "InferencePool", name,
                              labels_of(service, kScheduler));
    pool["spec"] = spec;
    objects.push_back(std::move(pool));
  }
  if (facts.has_inference_pool_v1alpha2) {
    json::Object old{
        {"extensionRef",
         {{"failureMode",
           text_value(json::string_at(value, "endpointPickerRef.failureMode").value_or("FailOpen"))},
          {"kind", text_value(json::string_at(value, "endpointPickerRef.kind").value_or("Service"))},
          {"name", text_value(json::string_at(value, "endpointPickerRef.name").value_or(""))},
          {"portNumber", json::int_at(value, "endpointPickerRef.port.number").value_or(9002)}}},
        {"targetPortNumber", json::int_at(value, "targetPorts[0].number").value_or(8000)}};
    const auto* labels = json::object_at(value, "selector.matchLabels");
    old["selector"] = labels != nullptr ? *labels : pool_selector(service);
    json::Object pool = child(service, "inference.networking.x-k8s.io/v1alpha2", "InferencePool", name,
                              labels_of(service, kScheduler));
    pool["spec"] = std::move(old);
    objects.push_back(std::move(pool));
  }
}

int priority_of(std::string_view criticality) {
  return criticality == "Critical" ? 10 : criticality == "Sheddable" ? -10 : 0;
}

// Two generations of the same wish; only where the API server knows the kind.
void render_criticality(const Service& service, const Facts& facts, Objects& objects) {
  const Scheduler& scheduler = *service.router->scheduler;
  const std::string pool = scheduler.pool_ref.value_or(child_name(service.name, "-inference-pool"));
  if (facts.has_inference_model) {
    json::Object model = child(service, "inference.networking.x-k8s.io/v1alpha2", "InferenceModel",
                               child_name(service.name, "-inference-model"), labels_of(service, kScheduler));
    const std::string criticality =
        service.model.criticality.empty() ? "Critical" : service.model.criticality;
    model["spec"] = {
        {"criticality", criticality},
        {"modelName", service.model.name},
        {"poolRef", {{"group", "inference.networking.x-k8s.io"}, {"kind", "InferencePool"}, {"name", pool}}}};
    objects.push_back(std::move(model));
  }
  if (facts.has_inference_objective && !service.model.criticality.empty()) {
    json::Object objective =
        child(service, "inference.networking.x-k8s.io/v1alpha2", "InferenceObjective",
              child_name(service.name, "-inference-objective"), labels_of(service, kScheduler));
    objective["spec"] = {{"poolRef", {{"group", "inference.networking.k8s.io"}, {"name", pool}}},
                         {"priority", priority_of(service.model.criticality)}};
    objects.push_back(std::move(objective));
  }
}

}  // namespace

void render_reader_account(const Service& service, const Facts& facts, std::string_view suffix,
                           bool with_role, std::string_view account, Objects& objects) {
  const json::Object labels = labels_of(service, suffix == "-kserve" ? kWorkload : std::string_view());
  if (!suffix.empty()) {
    json::Object made = child(service, "v1", "ServiceAccount", child_name(service.name, suffix), labels);
    copy_account({}, service, facts, false, made);
    objects.push_back(std::move(made));
  }
  if (with_role) {
    const std::string base(suffix.starts_with("-kserve-mn") ? "-kserve-mn" : "-kserve");
    add_role(service, child_name(service.name, base + "-role"), child_name(service.name, base + "-rb"),
             account, labels_of(service, kWorkload),
             {rule({""}, {"pods"}),
              rule({"inference.networking.x-k8s.io", "inference.networking.k8s.io"}, {"inferencepools"})},
             objects);
  }
}

Result<void> render_scheduler(const Service& service, const Facts& facts, Objects& objects) {
  if (!service.router || !service.router->scheduler) {
    return {};
  }
  if (service.has_managed_scheduler() && facts.picks_in_gateway) {
    render_pools(service, facts, objects);
  } else if (service.has_managed_scheduler()) {
    render_accounts(service, facts, objects);
    LLMD_TRY_VOID(render_deployment(service, facts, objects));
    render_service(service, objects);
    render_pools(service, facts, objects);
  }
  render_criticality(service, facts, objects);
  return {};
}

}  // namespace llmd::llmisvc
