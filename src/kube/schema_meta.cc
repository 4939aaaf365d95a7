#include "kube/schema_data.h"

namespace llmd::kube {

const std::string_view kSchemaMeta = R"(
struct ObjectMeta # what every object carries: name, labels, owners
annotations {}string # free text for tools
creationTimestamp time # when the server made the object
deletionGracePeriodSeconds int # seconds between deletionTimestamp's request and the end
deletionTimestamp time # set when somebody asked to delete the object
finalizers []string set # the object stays until this list is empty
generateName string # prefix of a name that the server completes
generation int # counts changes of the specification
labels {}string # what selectors match
managedFields []any atomic # who wrote which field
name string # unique per kind and namespace
namespace string # where the object lives
ownerReferences []OwnerReference key=uid merge=uid # the object goes when its owners are gone
resourceVersion string # opaque; changes with every write
selfLink string
uid string # unique in time and space

struct OwnerReference atomic # an object this one depends on
apiVersion! string
blockOwnerDeletion bool # foreground deletion of the owner waits for this object
controller bool # the one owner that manages this object
kind! string
name! string
uid! string

struct ListMeta # what every list carries
continue string
remainingItemCount int
resourceVersion string
selfLink string

struct LabelSelector atomic # which objects, by their labels
matchExpressions []LabelSelectorRequirement # all must hold
matchLabels {}string # all must be equal

struct LabelSelectorRequirement # one rule: key, operator, values
key! string
operator! string # In, NotIn, Exists or DoesNotExist
values []string

struct Condition # one fact about the object's state
lastTransitionTime time
message string
observedGeneration int
reason string
severity string
status! string # True, False or Unknown
type! string

struct ObjectReference atomic # points at another object
apiVersion string
fieldPath string
kind string
name string
namespace string
resourceVersion string
uid string

struct LocalObjectReference atomic # points at an object of the same namespace
name string

struct ReplicaStatus # condition of a workload
lastTransitionTime time
lastUpdateTime time
message string
reason string
status! string
type! string
)";

}  // namespace llmd::kube
