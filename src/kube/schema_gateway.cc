#include "kube/schema_data.h"

namespace llmd::kube {

const std::string_view kSchemaGateway = R"(
type GatewayClass # which controller serves gateways of this class
apiVersion string
kind string
metadata ObjectMeta
spec GatewayClassSpec
status any

type GatewayClassSpec
controllerName! string
description string
parametersRef any

type Gateway # where requests come in
apiVersion string
kind string
metadata ObjectMeta
spec GatewaySpec
status GatewayStatus

type GatewaySpec
addresses []any atomic
allowedListeners any
backendTLS any
defaultScope string
gatewayClassName! string
infrastructure any
listeners []GatewayListener key=name
tls any

type GatewayListener
allowedRoutes any
hostname string
name! string
port! int
protocol! string
tls any

type GatewayStatus
addresses []any atomic
attachedListenerSets int
conditions []Condition key=type
listeners []GatewayListenerStatus key=name

type GatewayListenerStatus
attachedRoutes int
conditions []Condition key=type
name! string
supportedKinds []any atomic

type HTTPRoute # which requests go where
apiVersion string
kind string
metadata ObjectMeta
spec HTTPRouteSpec
status RouteStatus

type HTTPRouteSpec
hostnames []string atomic
parentRefs []ParentReference atomic
rules []HTTPRouteRule atomic
useDefaultGateways string

type ParentReference
group string
kind string
name! string
namespace string
port int
sectionName string

type HTTPRouteRule
backendRefs []any atomic
filters []any atomic
matches []any atomic
name string
retry any
sessionPersistence any
timeouts any

type RouteStatus
parents []any atomic
)";

}  // namespace llmd::kube
