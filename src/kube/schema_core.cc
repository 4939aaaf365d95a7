#include "kube/schema_data.h"

namespace llmd::kube {

const std::string_view kSchemaCore = R"(
type Service # a name and ports for a set of pods
apiVersion string
kind string
metadata ObjectMeta
spec ServiceSpec
status ServiceStatus

type ServiceSpec # which pods, which ports
allocateLoadBalancerNodePorts bool
clusterIP string # None: clients use the endpoints' addresses
clusterIPs []string
externalIPs []string
externalName string
externalTrafficPolicy string
healthCheckNodePort int
internalTrafficPolicy string
ipFamilies []string
ipFamilyPolicy string
loadBalancerClass string
loadBalancerIP string
loadBalancerSourceRanges []string
ports []ServicePort key=port,protocol merge=port
publishNotReadyAddresses bool
selector {}string atomic
sessionAffinity string default="None"
sessionAffinityConfig any
trafficDistribution string
type string default="ClusterIP"

type ServicePort
appProtocol string
name string
nodePort int
port! int
protocol string default="TCP"
targetPort intstr # number or name of the container's port

type ServiceStatus
conditions []Condition key=type merge=type
loadBalancer any

type Endpoints # addresses of a service, the older form
apiVersion string
kind string
metadata ObjectMeta
subsets []any atomic

type ConfigMap # configuration as text
apiVersion string
binaryData {}string
data {}string
immutable bool
kind string
metadata ObjectMeta

type Secret # credentials; values are base64
apiVersion string
data {}string
immutable bool
kind string
metadata ObjectMeta
stringData {}string # plain text, stored into data
type string default="Opaque"

type ServiceAccount # an identity for pods
apiVersion string
automountServiceAccountToken bool
imagePullSecrets []LocalObjectReference atomic
kind string
metadata ObjectMeta
secrets []ObjectReference key=name merge=name

type Namespace # a room for names
apiVersion string
kind string
metadata ObjectMeta
spec NamespaceSpec
status NamespaceStatus

type NamespaceSpec
finalizers []string atomic

type NamespaceStatus
conditions []Condition key=type merge=type
phase string

type Node # a machine
apiVersion string
kind string
metadata ObjectMeta
spec NodeSpec
status NodeStatus

type NodeSpec
configSource any
externalID string
podCIDR string
podCIDRs []string set
providerID string
taints []Taint atomic merge=key
unschedulable bool # no new pods

type Taint
effect! string
key! string
timeAdded time
value string

type NodeStatus
addresses []NodeAddress key=type merge=type
allocatable {}quantity
capacity {}quantity
conditions []NodeCondition key=type merge=type
config any
daemonEndpoints any
features any
images []any atomic
nodeInfo any
phase string
runtimeHandlers []any atomic
volumesAttached []any
volumesInUse []string

type NodeAddress
address! string
type! string

type NodeCondition
lastHeartbeatTime time
lastTransitionTime time
message string
reason string
status! string
type! string

type Event # something that happened to an object
action string
apiVersion string
count int
eventTime time
firstTimestamp time
involvedObject ObjectReference
kind string
lastTimestamp time
message string
metadata ObjectMeta
reason string
related ObjectReference
reportingComponent string
reportingInstance string
series any
source any
type string

type EndpointSlice # where a service's pods listen
addressType! string
apiVersion string
endpoints! []Endpoint atomic
kind string
metadata ObjectMeta
ports []EndpointPort atomic

type Endpoint
addresses! []string set
conditions EndpointConditions
deprecatedTopology {}string
hints any
hostname string
nodeName string
targetRef ObjectReference
zone string

type EndpointConditions
ready bool
serving bool
terminating bool

type EndpointPort
appProtocol string
name string
port int
protocol string

type Lease # who leads, who lives
apiVersion string
kind string
metadata ObjectMeta
spec LeaseSpec

type LeaseSpec
acquireTime time
holderIdentity string
leaseDurationSeconds int
leaseTransitions int
preferredHolder string
renewTime time
strategy string
)";

}  // namespace llmd::kube
