#include "llmisvc/finding_codes.h"

#include <array>

namespace llmd::llmisvc {
namespace {

constexpr std::array kCodes{
    FindingCode{"accelerators", "error",
                "Requested GPUs contradict parallelism: a pod must ask for tensor x dataLocal (x pipeline in "
                "one pod), "
                "the pods of a group together for pipeline x tensor, a worker for what its leader asks."},
    FindingCode{"adapter-name", "error",
                "A LoRA adapter has no usable name, the model's name, or a name that another adapter is "
                "stored under."},
    FindingCode{"bad-name", "error", "metadata.name cannot be part of a host name."},
    FindingCode{"bad-value", "error",
                "A text is not one of the allowed ones, or does not have the required form."},
    FindingCode{"confidential", "error or warning",
                "model.confidential with a malformed key place, or with a URI whose model is not decrypted."},
    FindingCode{"config-map-key", "error", "The ConfigMap of router.scheduler.config.ref lacks the key."},
    FindingCode{
        "config-map-not-found", "error or note",
        "The ConfigMap of router.scheduler.config.ref does not exist; in llmd check and llmd up: it is "
        "not among the files."},
    FindingCode{"config-not-found", "error", "A config in baseRefs, or a preset, does not exist."},
    FindingCode{"criticality-without-scheduler", "warning",
                "model.criticality has no effect: only a scheduler looks at it."},
    FindingCode{"device-claim", "error",
                "An annotation serving.kserve.io/exp-dra-* is malformed or stands alone."},
    FindingCode{"duplicate", "error",
                "Two elements of a list have the same key: container names, ports, ..."},
    FindingCode{"duplicate-object", "error", "Two documents describe the same object."},
    FindingCode{"gateway-config", "error", "A GatewayConfiguration that llmd gateway would refuse."},
    FindingCode{"group-size-changed", "error",
                "An update changes the number of pods of a group, which Kubernetes cannot do in place."},
    FindingCode{"kv-cache", "error",
                "kvCacheOffloading: a tier without size, or without exactly one source."},
    FindingCode{"memory", "warning or note",
                "The model does not fit the GPU named by --gpu; without it, a note with the memory that is "
                "needed. The "
                "arithmetic is in the sentence."},
    FindingCode{"missing-field", "error", "A required field is absent."},
    FindingCode{"model-uri", "error",
                "A model URI without scheme, of an unknown scheme, or malformed for its scheme."},
    FindingCode{"name-length", "error",
                "The name leaves no room for what is appended to it in groups of pods."},
    FindingCode{"name-shortened", "note", "Names of the service's objects are shortened to 63 characters."},
    FindingCode{"nested-base-refs", "error", "A config has baseRefs of its own."},
    FindingCode{"no-api-version", "warning",
                "apiVersion is absent; the object is taken for one of serving.kserve.io."},
    FindingCode{"not-an-object", "error", "A document is neither a Kubernetes object nor a values file."},
    FindingCode{"not-converted", "error, warning or note",
                "A key of a values file has no counterpart in a LLMInferenceService, or another meaning."},
    FindingCode{"null-dropped", "warning",
                "null where an API server drops it: it does not take back what a config says."},
    FindingCode{"out-of-range", "error", "A number is too small or too large."},
    FindingCode{"parallelism", "error",
                "tensor, pipeline, data and dataLocal contradict each other, or a group lacks them."},
    FindingCode{"path-conflict", "error",
                "Two routes want the same path of one Gateway for different backends."},
    FindingCode{"picker-as-backend", "warning",
                "An HTTPRoute leads to an endpoint picker instead of its pool."},
    FindingCode{"picker-config", "error or warning",
                "An EndpointPickerConfig that llmd picker would refuse or warn of, or with a parameter "
                "nobody knows."},
    FindingCode{"pinned-devices", "warning",
                "Environment variables pick GPUs past Kubernetes, or more or fewer of them."},
    FindingCode{"placeholder", "warning", "Documentation's {...} or a shell variable that nothing replaces."},
    FindingCode{"render", "error", "The objects cannot be made; the sentence says why."},
    FindingCode{"router", "error or warning",
                "Routes, Gateways, Ingress or traffic groups that exclude each other."},
    FindingCode{"scaling", "error", "Autoscaling bounds or actuators that contradict each other."},
    FindingCode{"scheduler-config", "error",
                "router.scheduler.config needs exactly one of inline and ref, not empty."},
    FindingCode{"syntax", "error", "The file is not YAML, or not a list of objects."},
    FindingCode{"template", "error or warning",
                "A template of a config fails: an unknown variable, a wrong function. A warning where it "
                "fails only for "
                "some kinds of services."},
    FindingCode{"tensor-across-pods", "warning",
                "A group with a tensor size alone: its layers are spread over pods; the sentence says how."},
    FindingCode{"tensor-derived", "warning",
                "The tensor size of a group was derived from its GPUs and stages."},
    FindingCode{"tensor-heads", "warning",
                "The model's KV heads cannot be spread over the tensor size evenly."},
    FindingCode{"unknown-field", "error", "A field that no version knows; the fix names the nearest one."},
    FindingCode{"wrong-type", "error", "A text where a number belongs, a list where an object belongs, ..."},
};

}  // namespace

std::span<const FindingCode> finding_codes() {
  return kCodes;
}

std::string finding_codes_page() {
  std::string page =
      "# Findings\n\n"
      "What `llmd check`, `llmd render`, `llmd convert` and the operator report. Each has a stable code, a "
      "severity, a "
      "place\n(file, line, column, path), a sentence and, where somebody knows one, a fix. Errors end `llmd "
      "check` with "
      "exit code 1.\n\n"
      "| Code | Severity | Meaning |\n|---|---|---|\n";
  for (const FindingCode& one : kCodes) {
    page += fmt::format("| `{}` | {} | {} |\n", one.code, one.severity, one.meaning);
  }
  return page;
}

}  // namespace llmd::llmisvc
