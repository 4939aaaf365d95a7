#include "kube/schema_data.h"

namespace llmd::kube {

const std::string_view kSchemaServing = R"(
struct LLMInferenceService # a language model behind a URL
apiVersion string
kind string
metadata ObjectMeta
spec LLMInferenceServiceSpec # what is served, how and where
status LLMInferenceServiceStatus # the URL and what is known about it

struct LLMInferenceServiceConfig # a preset that services refer to by baseRefs
apiVersion string
kind string
metadata ObjectMeta
spec LLMInferenceServiceSpec

struct LLMInferenceServiceSpec
annotations {}string # added to the pods
baseRefs []LocalObjectReference atomic # presets, merged in this order below the service
kvCacheOffloading any # where the KV cache goes when the accelerator's memory is full
labels {}string # added to the pods
model LLMModel # which model
parallelism LLMParallelism # over how many accelerators
prefill LLMWorkload # separate pods for prefill
replicas int # how many pods
router LLMRouter # how requests arrive
scaling any # grow and shrink with the load
storageInitializer any # whether the model is downloaded into the pod
template PodSpec # the pod, or the leader of a group
tracing any
worker PodSpec # the workers of a group

struct LLMModel # which model and under which name
confidential any
criticality string # Critical, Standard or Sheddable
lora any # adapters
name string # the name requests use
uri string # hf://, pypi://, https://, s3://, pvc://, oci:// or file://

struct LLMParallelism
data int
dataLocal int
dataRPCPort int
expert bool
pipeline int
tensor int

struct LLMWorkload # pods of one role
annotations {}string
kvCacheOffloading any
labels {}string
parallelism LLMParallelism
replicas int
scaling any
storageInitializer any
template PodSpec
worker PodSpec

struct LLMRouter # gateway, route and scheduler
gateway LLMGatewayRefs # {}: the default gateway
ingress any
route LLMRoute # {}: a route made for the service
scheduler LLMScheduler # {}: picks the best pod for every request

struct LLMGatewayRefs
refs []any atomic

struct LLMRoute
group string
http LLMHttpRoute
weight int

struct LLMHttpRoute
refs []LocalObjectReference atomic
spec HTTPRouteSpec

struct LLMScheduler
annotations {}string
config any
labels {}string
pool any
replicas int
template PodSpec

struct LLMInferenceServiceStatus
address any
addresses []any atomic
annotations {}string
appliedConfigs any
conditions []Condition key=type
observedGeneration int
router any
url string # where the model answers
workloads any
)";

}  // namespace llmd::kube
