#include "kube/schema_data.h"

namespace llmd::kube {

const std::string_view kSchemaApps = R"(
type Deployment # a number of equal pods, replaced step by step when the template changes
apiVersion string
kind string
metadata ObjectMeta
spec DeploymentSpec
status DeploymentStatus

type DeploymentSpec
minReadySeconds int # how long a pod must be ready to count as available
paused bool # template changes wait
progressDeadlineSeconds int default=600
replicas int default=1 # how many pods
revisionHistoryLimit int default=10 # how many old replica sets stay
selector! LabelSelector # which pods belong to it; cannot change
strategy DeploymentStrategy retain default={} # how pods are replaced
template! PodTemplateSpec # the pods

type DeploymentStrategy
rollingUpdate RollingUpdate
type string default="RollingUpdate" # RollingUpdate or Recreate

type RollingUpdate
maxSurge intstr # pods above the number
maxUnavailable intstr # pods below the number
partition int

type DeploymentStatus
availableReplicas int
collisionCount int
conditions []ReplicaStatus key=type merge=type
observedGeneration int
readyReplicas int
replicas int
terminatingReplicas int
unavailableReplicas int
updatedReplicas int

type ReplicaSet # keeps a number of equal pods
apiVersion string
kind string
metadata ObjectMeta
spec ReplicaSetSpec
status ReplicaSetStatus

type ReplicaSetSpec
minReadySeconds int
replicas int default=1
selector! LabelSelector
template PodTemplateSpec

type ReplicaSetStatus
availableReplicas int
conditions []Condition key=type merge=type
fullyLabeledReplicas int
observedGeneration int
readyReplicas int
replicas int
terminatingReplicas int

type ControllerRevision # a stored revision of a workload
apiVersion string
data any
kind string
metadata ObjectMeta
revision! int

type Scale # how many, for every workload the same
apiVersion string
kind string
metadata ObjectMeta
spec ScaleSpec
status ScaleStatus

type ScaleSpec
replicas int

type ScaleStatus
replicas int
selector string
)";

}  // namespace llmd::kube
