// Strategic merge patches (application/strategic-merge-patch+json): like JSON merge patches, but lists of
// named things merge item by item, and directives say what else to do: $patch (delete, replace, merge),
// $retainKeys, $setElementOrder/LIST, $deleteFromPrimitiveList/LIST. Directives never appear in the result.
// Pure.
#pragma once

#include <boost/json/value.hpp>

#include "base/result.h"
#include "kube/schema.h"

namespace llmd::kube {

// `type` is the schema of the target; null treats it as one without merge keys (a plain JSON merge patch). A
// patch that does not fit (an item without its merge key, an unknown directive) is InvalidArgument.
Result<boost::json::value> strategic_merge(const boost::json::value& target, const boost::json::value& patch,
                                           const Type* type);

}  // namespace llmd::kube
