#include "kube/schema_data.h"

namespace llmd::kube {

const std::string_view kSchemaPod = R"(
struct Pod # containers that run together on one node
apiVersion string
kind string
metadata ObjectMeta
spec PodSpec # what shall run
status PodStatus # what runs

struct PodTemplateSpec # the pods a workload makes
metadata ObjectMeta
spec PodSpec

struct PodSpec # containers, volumes and where they run
activeDeadlineSeconds int
affinity any # where the pod prefers to run
automountServiceAccountToken bool
containers! []Container key=name merge=name # the programs
dnsConfig any
dnsPolicy string default="ClusterFirst"
enableServiceLinks bool
ephemeralContainers []any
hostAliases []any
hostIPC bool
hostNetwork bool
hostPID bool
hostUsers bool
hostname string
imagePullSecrets []LocalObjectReference key=name merge=name
initContainers []Container key=name merge=name # run to their end before the containers start, in order
nodeName string # set by the scheduler
nodeSelector {}string atomic # labels the node must have
os any
overhead {}quantity
preemptionPolicy string
priority int
priorityClassName string
readinessGates []any
resourceClaims []NamedItem key=name merge=name
resources ResourceRequirements
restartPolicy string default="Always" # Always, OnFailure or Never
runtimeClassName string
schedulerName string default="default-scheduler"
schedulingGates []NamedItem key=name merge=name
securityContext PodSecurityContext default={}
serviceAccount string
serviceAccountName string # the account whose secrets and rights the pod uses
setHostnameAsFQDN bool
shareProcessNamespace bool
subdomain string
terminationGracePeriodSeconds int default=30 # time between SIGTERM and SIGKILL
tolerations []Toleration # taints that do not keep the pod away
topologySpreadConstraints []any
volumes []Volume key=name merge=name retain # what containers can mount

struct Container # one program
args []string # arguments
command []string # program and first arguments, instead of the image's
env []EnvVar key=name merge=name # environment variables
envFrom []EnvFromSource
image string # which program; an engine profile maps it on a single machine
imagePullPolicy string
lifecycle Lifecycle
livenessProbe Probe # the container is restarted when it fails
name! string # unique in the pod
ports []ContainerPort key=containerPort,protocol merge=containerPort
readinessProbe Probe # the pod gets no requests while it fails
resizePolicy []any
resources ResourceRequirements default={} # CPU, memory, GPUs
restartPolicy string # Always: an init container that keeps running
securityContext any
startupProbe Probe # the other probes wait until it succeeds
stdin bool
stdinOnce bool
terminationMessagePath string default="/dev/termination-log"
terminationMessagePolicy string default="File"
tty bool
volumeDevices []any
volumeMounts []VolumeMount key=mountPath merge=mountPath
workingDir string

struct ContainerPort # a port the program listens on
containerPort! int
hostIP string
hostPort int
name string # services may name it
protocol string default="TCP"

struct EnvVar # an environment variable
name! string
value string
valueFrom EnvVarSource

struct EnvVarSource # where a variable's value comes from
configMapKeyRef KeySelector
fieldRef FieldRef
fileKeyRef any
resourceFieldRef any
secretKeyRef KeySelector

struct EnvFromSource # variables from a whole object
configMapRef OptionalReference
prefix string
secretRef OptionalReference

struct FieldRef atomic
apiVersion string default="v1"
fieldPath! string

struct KeySelector atomic # a key of a ConfigMap or Secret
key! string
name string
optional bool

struct OptionalReference
name string
optional bool

struct NamedItem
name! string
resourceClaimName string
resourceClaimTemplateName string
request string

struct ResourceRequirements # what a container may use and is promised
claims []NamedItem key=name
limits {}quantity
requests {}quantity

struct VolumeMount # where a volume appears in the container
mountPath! string
mountPropagation string
name! string
readOnly bool
recursiveReadOnly string
subPath string
subPathExpr string

struct Lifecycle
postStart any
preStop any
stopSignal string

struct Probe # how to ask a container for its health
exec ExecAction
failureThreshold int default=3
grpc any
httpGet HTTPGetAction
initialDelaySeconds int
periodSeconds int default=10
successThreshold int default=1
tcpSocket TCPSocketAction
terminationGracePeriodSeconds int
timeoutSeconds int default=1

struct ExecAction
command []string

struct HTTPGetAction
host string
httpHeaders []any
path string default="/"
port! intstr
scheme string default="HTTP"

struct TCPSocketAction
host string
port! intstr

struct PodSecurityContext
appArmorProfile any
fsGroup int
fsGroupChangePolicy string
runAsGroup int
runAsNonRoot bool
runAsUser int
seLinuxChangePolicy string
seLinuxOptions any
seccompProfile any
supplementalGroups []int
supplementalGroupsPolicy string
sysctls []any
windowsOptions any

struct Toleration
effect string
key string
operator string
tolerationSeconds int
value string

struct PodStatus # what the node reports
conditions []Condition key=type merge=type
containerStatuses []any atomic
ephemeralContainerStatuses []any atomic
hostIP string
hostIPs []any atomic
initContainerStatuses []any atomic
message string
nominatedNodeName string
observedGeneration int
phase string # Pending, Running, Succeeded, Failed or Unknown
podIP string
podIPs []IpItem key=ip merge=ip
qosClass string
reason string
resize string
resourceClaimStatuses []any
startTime time

struct IpItem
ip! string
)";

const std::string_view kSchemaVolumes = R"(
struct Volume # files that containers of a pod can mount
awsElasticBlockStore any
azureDisk any
azureFile any
cephfs any
cinder any
configMap ConfigMapVolume
csi any
downwardAPI any
emptyDir EmptyDirVolume
ephemeral any
fc any
flexVolume any
flocker any
gcePersistentDisk any
gitRepo any
glusterfs any
hostPath HostPathVolume
image any
iscsi any
name! string
nfs any
persistentVolumeClaim ClaimVolume
photonPersistentDisk any
portworxVolume any
projected any
quobyte any
rbd any
scaleIO any
secret SecretVolume
storageos any
vsphereVolume any

struct ConfigMapVolume
defaultMode int default=420
items []any
name string
optional bool

struct SecretVolume
defaultMode int default=420
items []any
optional bool
secretName string

struct EmptyDirVolume
medium string
sizeLimit quantity

struct HostPathVolume
path! string
type string

struct ClaimVolume
claimName! string
readOnly bool
)";

}  // namespace llmd::kube
