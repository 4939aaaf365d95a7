#include "kube/schema_data.h"

namespace llmd::kube {

const std::string_view kSchemaCore = R"(
struct Service # a name and ports for a set of pods
apiVersion string
kind string
metadata ObjectMeta
spec ServiceSpec
status ServiceStatus

struct ServiceSpec # which pods, which ports
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

struct ServicePort
appProtocol string
name string
nodePort int
port! int
protocol string default="TCP"
targetPort intstr # number or name of the container's port

struct ServiceStatus
conditions []Condition key=type merge=type
loadBalancer any

struct Endpoints # addresses of a service, the older form
apiVersion string
kind string
metadata ObjectMeta
subsets []any atomic

struct ConfigMap # configuration as text
apiVersion string
binaryData {}string
data {}string
immutable bool
kind string
metadata ObjectMeta

struct Secret # credentials; values are base64
apiVersion string
data {}string
immutable bool
kind string
metadata ObjectMeta
stringData {}string # plain text, stored into data
type string default="Opaque"

struct ServiceAccount # an identity for pods
apiVersion string
automountServiceAccountToken bool
imagePullSecrets []LocalObjectReference atomic
kind string
metadata ObjectMeta
secrets []ObjectReference key=name merge=name

struct Namespace # a room for names
apiVersion string
kind string
metadata ObjectMeta
spec NamespaceSpec
status NamespaceStatus

struct NamespaceSpec
finalizers []string atomic

struct NamespaceStatus
conditions []Condition key=type merge=type
phase string

struct Node # a machine
apiVersion string
kind string
metadata ObjectMeta
spec NodeSpec
status NodeStatus

struct NodeSpec
configSource any
externalID string
podCIDR string
podCIDRs []string set
providerID string
taints []Taint atomic merge=key
unschedulable bool # no new pods

struct Taint
effect! string
key! string
timeAdded time
value string

struct NodeStatus
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

struct NodeAddress
address! string
type! string

struct NodeCondition
lastHeartbeatTime time
lastTransitionTime time
message string
reason string
status! string
type! string

struct Event # something that happened to an object
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

struct EndpointSlice # where a service's pods listen
addressType! string
apiVersion string
endpoints! []Endpoint atomic
kind string
metadata ObjectMeta
ports []EndpointPort atomic

struct Endpoint
addresses! []string set
conditions EndpointConditions
deprecatedTopology {}string
hints any
hostname string
nodeName string
targetRef ObjectReference
zone string

struct EndpointConditions
ready bool
serving bool
terminating bool

struct EndpointPort
appProtocol string
name string
port int
protocol string

struct Lease # who leads, who lives
apiVersion string
kind string
metadata ObjectMeta
spec LeaseSpec

struct LeaseSpec
acquireTime time
holderIdentity string
leaseDurationSeconds int
leaseTransitions int
preferredHolder string
renewTime time
strategy string
)";

}  // namespace llmd::kube
