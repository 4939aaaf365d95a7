// Schema of LLMInferenceService.spec and LLMInferenceServiceConfig.spec.
#include "llmisvc/schema.h"
#include "llmisvc/schema_builder.h"

namespace llmd::llmisvc {
namespace {

using namespace schema;  // NOLINT: the words this file is written in

json::Value local_ref() {
  return object("", {{"name", string("Name.")}}, {"name"});
}

json::Value object_ref() {
  return object("",
                {{"name", name("Name.", 253)},
                 {"namespace", name("Namespace; that of the service when absent.", 63)},
                 {"sectionName", name("Listener of the Gateway.", 253)}},
                {"name"});
}

json::Value criticality() {
  return choice("Who is served first and who is shed first. `Normal` is another spelling of `Standard`.",
                {"Critical", "Standard", "Normal", "Sheddable"});
}

json::Value model() {
  const json::Value adapters = list_of("Adapters, each reachable as a model by its name.",
                                       object("",
                                              {{"name", string("Name clients ask for.")},
                                               {"uri", string("Where the adapter is downloaded from.")},
                                               {"criticality", criticality()}},
                                              {"uri"}));
  return object(
      "The model to serve.",
      {{"uri",
        string("Where the model is: hf://, s3://, gs://, https://, oci://, pvc://, file://, pypi://.")},
       {"name", string("Name clients ask for; the service's name when absent.")},
       {"criticality", criticality()},
       {"lora", object("LoRA adapters.", {{"adapters", adapters},
                                          {"maxRank", integer("Highest rank of an adapter.", 1)},
                                          {"maxAdapters", integer("Adapters active at once.", 1)},
                                          {"maxCpuAdapters", integer("Adapters kept in memory.", 1)}})},
       {"confidential",
        object("Encrypted model.", {{"enabled", boolean("")}, {"resourceId", string("")}}, {"enabled"})}});
}

json::Value parallelism() {
  return object("How one replica is spread over accelerators.",
                {{"tensor", integer("Each layer is split over this many accelerators.", 1)},
                 {"pipeline", integer("The layers are split into this many stages.", 1)},
                 {"data", integer("This many copies of the model work as one.", 1)},
                 {"dataLocal", integer("Of those copies, this many run in one pod.", 1)},
                 {"dataRPCPort", integer("Port the copies find each other on.", 1, 65535)},
                 {"expert", boolean("Experts of a mixture are spread over the copies.")}});
}

json::Value keda() {
  const json::Value modifiers = with_rules(
      object("Not allowed: the variant autoscaler decides what is measured.",
             {{"formula", string("")},
              {"target", string("")},
              {"activationTarget", string("")},
              {"metricType", string("")}}),
      {{"!has(self.formula) && !has(self.target) && !has(self.activationTarget) && !has(self.metricType)",
        "scalingModifiers must be empty"}});
  const json::Value hpa_config = with_rules(
      object("", {{"behavior", any_object("As in autoscaling/v2.")}, {"name", string("Not allowed.")}}),
      {{"!has(self.name) || self.name == ''", "horizontalPodAutoscalerConfig.name must be empty"}});
  return object("A ScaledObject of KEDA.",
                {{"pollingInterval", integer("Seconds between measurements.", 1)},
                 {"cooldownPeriod", integer("Seconds before it scales to idle.", 0)},
                 {"initialCooldownPeriod", integer("Seconds before the first scaling to idle.", 0)},
                 {"idleReplicaCount", integer("Replicas while nothing is asked; below minReplicas.", 1)},
                 {"fallback", any_object("Replicas while the measurement fails.")},
                 {"advanced", object("", {{"restoreToOriginalReplicaCount", boolean("")},
                                          {"horizontalPodAutoscalerConfig", hpa_config},
                                          {"scalingModifiers", modifiers}})}});
}

json::Value scaling() {
  const json::Value actuator = with_rules(
      object(
          "What scales, by the number of replicas that the variant autoscaler wishes for.",
          {{"variantCost",
            string("Cost of a replica, relative to others; 10.0 when absent.", R"(^\d+(\.\d+)?$)")},
           {"hpa", object("A HorizontalPodAutoscaler.", {{"behavior", any_object("As in autoscaling/v2.")}})},
           {"keda", keda()}}),
      {{"!(has(self.hpa) && has(self.keda))", "hpa and keda exclude each other"},
       {"has(self.hpa) || has(self.keda)", "either hpa or keda must be set"}});
  return with_rules(object("Autoscaling; not together with replicas.",
                           {{"minReplicas", integer("1 when absent.", 1)},
                            {"maxReplicas", integer("Most replicas.", 1)},
                            {"wva", actuator}},
                           {"maxReplicas"}),
                    {{"has(self.wva)", "wva must be set"},
                     {"!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
                      "minReplicas must not be greater than maxReplicas"},
                     {"!has(self.wva) || !has(self.wva.keda) || !has(self.wva.keda.idleReplicaCount) || "
                      "(has(self.minReplicas) && self.wva.keda.idleReplicaCount < self.minReplicas)",
                      "idleReplicaCount needs minReplicas and must be lower"}});
}

json::Value kv_cache() {
  const json::Value claim = with_rules(
      object("One of spec and ref.",
             {{"spec", any_object("PersistentVolumeClaimSpec of a claim that lives as long as the pod.")},
              {"ref", object("A claim that exists.",
                             {{"name", string("Name.")}, {"path", string("Folder in it.")}}, {"name"})}}),
      {{"has(self.spec) != has(self.ref)", "exactly one of spec and ref must be set"}});
  const json::Value volume =
      with_rules(object("One of emptyDir and pvc.",
                        {{"emptyDir", object("", {{"size", int_or_string("Most it may hold.")}}, {"size"})},
                         {"pvc", claim}}),
                 {{"has(self.emptyDir) != has(self.pvc)", "exactly one of emptyDir and pvc must be set"}});
  return object("Tiers below accelerator memory for the KV cache.",
                {{"cpu", int_or_string("Bytes of main memory.")},
                 {"evictionPolicy", choice("Which block goes first; lru when absent.", {"lru", "arc"})},
                 {"secondary", list_of("Tiers below main memory, fastest first.",
                                       object("", {{"fileSystem", volume}}, {"fileSystem"}))}},
                {"cpu"});
}

// A rule for the object that carries workload().
constexpr Rule kOneSizeRule{"!(has(self.replicas) && has(self.scaling))",
                            "replicas and scaling exclude each other"};

std::vector<Field> workload() {
  return {{"replicas", integer("Pods (or groups of pods); not set: left alone.", 0)},
          {"scaling", scaling()},
          {"parallelism", parallelism()},
          {"labels", map_of("Labels for the pods.", string(""))},
          {"annotations", map_of("Annotations for the pods.", string(""))},
          {"template", pod_spec("Pod of a replica, or the leader of a group.")},
          {"worker", pod_spec("Pods of a group beside the leader; its presence makes groups.")},
          {"kvCacheOffloading", kv_cache()}};
}

json::Value scheduler() {
  const json::Value pool_spec = any_object(
      "InferencePool spec: selector, targetPorts (or targetPortNumber), endpointPickerRef (or "
      "extensionRef).");
  const json::Value config = object(
      "EndpointPickerConfig; one of inline and ref.",
      {{"inline", any_object("The configuration itself.")},
       {"ref", object("ConfigMap that holds it.",
                      {{"name", string("")}, {"key", string("")}, {"optional", boolean("")}}, {"name"})}});
  const json::Value one_config = with_rules(
      config, {{"has(self.inline) != has(self.ref)", "exactly one of inline and ref must be set"}});
  return object("Picks the endpoint of every request by load and cache content.",
                {{"pool", object("", {{"ref", local_ref()}, {"spec", pool_spec}})},
                 {"template", pod_spec("Pod of the scheduler.")},
                 {"labels", map_of("", string(""))},
                 {"annotations", map_of("", string(""))},
                 {"replicas", integer("", 1)},
                 {"config", one_config}});
}

json::Value router() {
  json::Value group = string("Services that share traffic.", "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$");
  group.get_object()["minLength"] = 1;
  group.get_object()["maxLength"] = 63;
  const json::Value http = object("", {{"refs", list_of("Routes that exist already.", local_ref())},
                                       {"spec", any_object("HTTPRoute spec.")}});
  const json::Value route =
      object("The HTTPRoute.",
             {{"http", http}, {"group", group}, {"weight", integer("Share in the group.", 0, 1000000)}});
  return object(
      "How requests reach the model.",
      {{"gateway", object("Gateways; {} is the default one.", {{"refs", list_of("", object_ref())}})},
       {"route", route},
       {"ingress", object("Ingress instead of a Gateway.", {{"refs", list_of("", object_ref())}})},
       {"scheduler", scheduler()}});
}

json::Value spec() {
  std::vector<Field> fields = {{"model", model()}};
  fields = join(std::move(fields), workload());
  fields = join(
      std::move(fields),
      {{"prefill",
        with_rules(object("A second set of pods that only processes prompts.", workload()), {kOneSizeRule})},
       {"router", router()},
       {"tracing", object("OpenTelemetry traces; {} takes the defaults.", {{"exporterEndpoint", string("")},
                                                                           {"exporter", string("")},
                                                                           {"sampler", string("")},
                                                                           {"samplerArg", string("")}})},
       {"storageInitializer", object("", {{"enabled", boolean("false: the model is not mounted at all.")}})},
       {"baseRefs", list_of("Configs this service starts from, later ones win.", local_ref())}});
  return with_rules(object("Desired state.", std::move(fields), {"model"}), {kOneSizeRule});
}

}  // namespace

const json::Value& service_spec_schema() {
  static const json::Value schema = spec();
  return schema;
}

const json::Value& config_spec_schema() {
  static const json::Value schema = [] {
    json::Value config = service_spec_schema();
    config.get_object().erase("required");
    return config;
  }();
  return schema;
}

}  // namespace llmd::llmisvc
