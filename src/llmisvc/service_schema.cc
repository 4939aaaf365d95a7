// Schema of LLMInferenceService.spec and LLMInferenceServiceConfig.spec.
#include "llmisvc/schema.h"
#include "llmisvc/schema_builder.h"

namespace llmd::llmisvc {
namespace {

using namespace schema;  // NOLINT: the words this file is written in

constexpr std::string_view kName = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$";

json::Value local_ref() {
  return object("", {{"name", string("Name.")}}, {"name"});
}

json::Value object_ref() {
  return object("",
                {{"name", string("Name.", kName)},
                 {"namespace", string("Namespace; that of the service when absent.", kName)},
                 {"sectionName", string("Listener of the Gateway.")}},
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

json::Value scaling() {
  const json::Value keda = any_object(
      "KEDA: pollingInterval, cooldownPeriod, initialCooldownPeriod, "
      "idleReplicaCount, fallback, advanced.");
  return object("Autoscaling; not together with replicas.",
                {{"minReplicas", integer("", 1)},
                 {"maxReplicas", integer("", 1)},
                 {"wva", object("Actuator.", {{"variantCost", string("", R"(^\d+(\.\d+)?$)")},
                                              {"hpa", any_object("HorizontalPodAutoscaler: behavior.")},
                                              {"keda", keda}})}},
                {"maxReplicas"});
}

json::Value kv_cache() {
  const json::Value volume = object(
      "One of emptyDir and pvc.",
      {{"emptyDir", object("", {{"size", int_or_string("")}})},
       {"pvc", object("One of spec and ref.",
                      {{"spec", any_object("PersistentVolumeClaimSpec.")},
                       {"ref", object("", {{"name", string("")}, {"path", string("")}}, {"name"})}})}});
  return object("Tiers below accelerator memory for the KV cache.",
                {{"cpu", int_or_string("Bytes of main memory.")},
                 {"evictionPolicy", choice("", {"lru", "arc"})},
                 {"secondary", list_of("Tiers below main memory.", object("", {{"fileSystem", volume}}))}});
}

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
      {{"inline", any("The configuration itself.")},
       {"ref", object("ConfigMap that holds it.",
                      {{"name", string("")}, {"key", string("")}, {"optional", boolean("")}}, {"name"})}});
  return object("Picks the endpoint of every request by load and cache content.",
                {{"pool", object("", {{"ref", local_ref()}, {"spec", pool_spec}})},
                 {"template", pod_spec("Pod of the scheduler.")},
                 {"labels", map_of("", string(""))},
                 {"annotations", map_of("", string(""))},
                 {"replicas", integer("", 1)},
                 {"config", config}});
}

json::Value router() {
  const json::Value http = object("", {{"refs", list_of("Routes that exist already.", local_ref())},
                                       {"spec", any_object("HTTPRoute spec.")}});
  const json::Value route = object(
      "The HTTPRoute.", {{"http", http},
                         {"group", string("Services that share traffic.", "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")},
                         {"weight", integer("Share in the group.", 0, 1000000)}});
  return object(
      "How requests reach the model.",
      {{"gateway", object("Gateways; {} is the default one.", {{"refs", list_of("", object_ref())}})},
       {"route", route},
       {"ingress", object("Ingress instead of a Gateway.", {{"refs", list_of("", object_ref())}})},
       {"scheduler", scheduler()}});
}

json::Value spec(bool required) {
  std::vector<Field> fields = {{"model", model()}};
  fields = join(std::move(fields), workload());
  fields = join(
      std::move(fields),
      {{"prefill", object("A second set of pods that only processes prompts.", workload())},
       {"router", router()},
       {"tracing", object("OpenTelemetry traces; {} takes the defaults.", {{"exporterEndpoint", string("")},
                                                                           {"exporter", string("")},
                                                                           {"sampler", string("")},
                                                                           {"samplerArg", string("")}})},
       {"storageInitializer", object("", {{"enabled", boolean("false: the model is not mounted at all.")}})},
       {"baseRefs", list_of("Configs this service starts from, later ones win.", local_ref())}});
  return object("Desired state.", std::move(fields),
                required ? std::vector<std::string_view>{"model"} : std::vector<std::string_view>{});
}

}  // namespace

const json::Value& service_spec_schema() {
  static const json::Value schema = spec(true);
  return schema;
}

const json::Value& config_spec_schema() {
  static const json::Value schema = spec(false);
  return schema;
}

}  // namespace llmd::llmisvc
