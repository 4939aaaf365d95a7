#include "kube/schema_data.h"

namespace llmd::kube {

const std::string_view kSchemaApps = R"(
struct Deployment # a number of equal pods, replaced step by step when the template changes
apiVersion string
kind string
metadata ObjectMeta
spec DeploymentSpec
status DeploymentStatus

struct DeploymentSpec
minReadySeconds int # how long a pod must be ready to count as available
paused bool # template changes wait
progressDeadlineSeconds int default=600
replicas int default=1 # how many pods
revisionHistoryLimit int default=10 # how many old replica sets stay
selector! LabelSelector # which pods belong to it; cannot change
strategy DeploymentStrategy retain default={} # how pods are replaced
template! PodTemplateSpec # the pods

struct DeploymentStrategy
rollingUpdate RollingUpdate
type string default="RollingUpdate" # RollingUpdate or Recreate

struct RollingUpdate
maxSurge intstr # pods above the number
maxUnavailable intstr # pods below the number
partition int

struct DeploymentStatus
availableReplicas int
collisionCount int
conditions []ReplicaStatus key=type merge=type
observedGeneration int
readyReplicas int
replicas int
terminatingReplicas int
unavailableReplicas int
updatedReplicas int

struct ReplicaSet # keeps a number of equal pods
apiVersion string
kind string
metadata ObjectMeta
spec ReplicaSetSpec
status ReplicaSetStatus

struct ReplicaSetSpec
minReadySeconds int
replicas int default=1
selector! LabelSelector
template PodTemplateSpec

struct ReplicaSetStatus
availableReplicas int
conditions []Condition key=type merge=type
fullyLabeledReplicas int
observedGeneration int
readyReplicas int
replicas int
terminatingReplicas int

struct ControllerRevision # a stored revision of a workload
apiVersion string
data any
kind string
metadata ObjectMeta
revision! int

struct Scale # how many, for every workload the same
apiVersion string
kind string
metadata ObjectMeta
spec ScaleSpec
status ScaleStatus

struct ScaleSpec
replicas int

struct ScaleStatus
replicas int
selector string
)";

}  // namespace llmd::kube
