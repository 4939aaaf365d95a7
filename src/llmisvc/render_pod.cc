#include "llmisvc/render_pod.h"

#include <algorithm>

#include "json/path.h"
#include "llmisvc/child_name.h"

#include "llmisvc/group_launch.h"
#include "llmisvc/labels.h"
#include "llmisvc/launch.h"
#include "llmisvc/pod_edit.h"
#include "llmisvc/pod_features.h"
#include "llmisvc/storage.h"

namespace llmd::llmisvc {
namespace {

constexpr std::string_view kSidecar = "llm-d-routing-sidecar";
constexpr std::string_view kCertificates = "/var/run/kserve/tls";
constexpr long long kPreStopSeconds = 15;

bool has_list(const json::Object& object, std::string_view key) {
  const auto* list = object.if_contains(boost::json::string_view(key.data(), key.size()));
  return list != nullptr && list->is_array() && !list->get_array().empty();
}

std::string text_of(const json::Object& object, std::string_view key) {
  return std::string(json::string_at(json::Value(object), key).value_or(""));
}

long long port_of(const json::Object& container) {
  const json::Value value(container);
  return json::int_at(value, "ports[0].containerPort").value_or(8000);
}

long long shutdown_seconds(const json::Object& pod) {
  const long long grace = json::int_at(json::Value(pod), "terminationGracePeriodSeconds").value_or(60);
  return std::max(0LL, grace - kPreStopSeconds - std::min(5LL, grace));
}

std::string single_file_of(const std::string& uri) {
  const std::string name = uri.substr(uri.rfind('/') + 1);
  return name.ends_with(".gguf") ? name : std::string();
}

// A user's command replaces ours; a user's args are appended to it.
void set_launch_command(json::Object& pod, json::Object& server, const PodRequest& request) {
  if (has_list(server, "command")) {
    return;
  }
  const Service& service = request.service;
  const std::string image = text_of(server, "image");
  const Engine engine = engine_of_image(image);
  LaunchOptions options{.model_path = service.mounts_model ? std::string(kModelFolder) : service.model.uri,
                        .model_file = single_file_of(service.model.uri),
                        .served_names = {service.model.name},
                        .port = static_cast<int>(port_of(server)),
                        .tensor = request.workload.parallelism.tensor,
                        .shutdown_seconds = shutdown_seconds(pod),
                        .version = version_of_image(image)};
  options.served_names.push_back(
      fmt::format("publishers/{}/models/{}", service.name_space, service.model.name));
  if (engine == Engine::Sglang && request.role != PodRole::Single && request.workload.parallelism.data) {
    options.tensor = options.tensor.value_or(1) * *request.workload.parallelism.data;  // see group_launch.cc
  }
  if (request.role == PodRole::Single) {
    options.pipeline = request.workload.parallelism.pipeline;
  }
  if (request.facts.tls) {
    options.certificate_folder = std::string(kCertificates);
  }
  std::vector<std::string> command = launch_command(engine, options);
  if (request.role != PodRole::Single) {
    command = group_command(std::move(command), engine, request);
  }
  server["command"] = text_list(command);
}

// What the sidecar needs to speak TLS to both halves, and to be spoken to.
void add_sidecar_encryption(json::Object& pod) {
  json::Object* sidecar = find_container(pod, kSidecar, "initContainers");
  if (sidecar == nullptr) {
    return;
  }
  for (const std::string& flag :
       {fmt::format("--cert-path={}", kCertificates), std::string("--enable-tls=decoder"),
        std::string("--enable-tls=prefiller")}) {
    list_in(*sidecar, "args").push_back(text_value(flag));
  }
}

void add_certificates(json::Object& pod, const Service& service) {
  const std::string secret = child_name(service.name, "-kserve-self-signed-certs");
  for (const char* list : {"containers", "initContainers"}) {
    for (const std::string_view name : {std::string_view("main"), kSidecar}) {
      if (json::Object* container = find_container(pod, name, list)) {
        add_mount(*container, "tls-certs", kCertificates, true);
      }
    }
  }
  add_volume(pod, "tls-certs", {{"secret", {{"secretName", secret}}}});
}

// The presets' preStop hook gives gateways of a cluster time to see that the pod leaves; on one machine they
// see it at once. A hook of the user's own stays.
void drop_drain_time(json::Object& server) {
  auto* lifecycle = server.if_contains("lifecycle");
  const auto* hook = lifecycle != nullptr ? json::find(*lifecycle, "preStop.exec.command") : nullptr;
  if (hook == nullptr || *hook != json::Value(json::Array{"/bin/sleep", "15"})) {
    return;
  }
  lifecycle->get_object().erase("preStop");
  if (lifecycle->get_object().empty()) {
    server.erase("lifecycle");
  }
}

// A local start takes seconds, not minutes: looking ten times as often finds out earlier.
void quicken_startup_probe(json::Object& server) {
  auto* probe = server.if_contains("startupProbe");
  if (probe == nullptr || !probe->is_object()) {
    return;
  }
  const json::Value value(*probe);
  const auto period = json::int_at(value, "periodSeconds").value_or(10);
  const auto failures = json::int_at(value, "failureThreshold").value_or(3);
  probe->get_object()["periodSeconds"] = 1;
  probe->get_object()["failureThreshold"] = period * failures;
}

}  // namespace

bool has_routing_sidecar(const json::Object& pod) {
  json::Object copy = pod;
  return find_container(copy, kSidecar, "initContainers") != nullptr ||
         find_container(copy, kSidecar) != nullptr;
}

Result<json::Object> render_pod(const PodRequest& request) {
  const auto& source = request.role == PodRole::Worker ? request.workload.worker : request.workload.pod;
  json::Object pod = source.value_or(json::Object());
  json::Object* server = find_container(pod, "main");
  if (server == nullptr) {
    return invalid_argument("{}.template: no container is called 'main'", request.workload.path)
        .hint("the model server's container must be called main");
  }
  set_launch_command(pod, *server, request);
  add_adapters(*server, request.service);
  add_tracing(*server, request);
  add_cache_tiers(pod, *server, request.workload);
  add_device_claim(pod, request.service);
  LLMD_TRY_VOID(add_model_storage(pod, request.service, request.facts));
  if (json::Object* sidecar = find_container(pod, kSidecar, "initContainers")) {
    const auto& router = request.service.router;
    const auto pool = router && router->scheduler ? router->scheduler->pool_ref : std::nullopt;
    add_env(*sidecar, "INFERENCE_POOL_NAME",
            pool.value_or(child_name(request.service.name, "-inference-pool")));
  }
  if (request.facts.platform == Platform::Cluster) {
    add_certificates(pod, request.service);
    if (request.facts.tls) {
      add_sidecar_encryption(pod);
    }
  } else {
    quicken_startup_probe(*find_container(pod, "main"));
    drop_drain_time(*find_container(pod, "main"));
  }
  if (!request.service_account.empty() && !pod.contains("serviceAccountName")) {
    pod["serviceAccountName"] = request.service_account;
  }
  return pod;
}

}  // namespace llmd::llmisvc
