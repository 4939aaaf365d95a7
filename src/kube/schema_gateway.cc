#include "kube/schema_data.h"

namespace llmd::kube {

const std::string_view kSchemaGateway = R"(
struct GatewayClass # which controller serves gateways of this class
apiVersion string
kind string
metadata ObjectMeta
spec GatewayClassSpec
status any

struct GatewayClassSpec
controllerName! string
description string
parametersRef any

struct Gateway # where requests come in
apiVersion string
kind string
metadata ObjectMeta
spec GatewaySpec
status GatewayStatus

struct GatewaySpec
addresses []any atomic
allowedListeners any
backendTLS any
defaultScope string
gatewayClassName! string
infrastructure any
listeners []GatewayListener key=name
tls any

struct GatewayListener
allowedRoutes any
hostname string
name! string
port! int
protocol! string
tls any

struct GatewayStatus
addresses []any atomic
attachedListenerSets int
conditions []Condition key=type
listeners []GatewayListenerStatus key=name

struct GatewayListenerStatus
attachedRoutes int
conditions []Condition key=type
name! string
supportedKinds []any atomic

struct HTTPRoute # which requests go where
apiVersion string
kind string
metadata ObjectMeta
spec HTTPRouteSpec
status RouteStatus

struct HTTPRouteSpec
hostnames []string atomic
parentRefs []ParentReference atomic
rules []HTTPRouteRule atomic
useDefaultGateways string

struct ParentReference
group string
kind string
name! string
namespace string
port int
sectionName string

struct HTTPRouteRule
backendRefs []any atomic
filters []any atomic
matches []any atomic
name string
retry any
sessionPersistence any
timeouts any

struct RouteStatus
parents []any atomic
)";

}  // namespace llmd::kube
