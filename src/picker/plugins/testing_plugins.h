// Plugins of Gateway API's conformance tests.
// header-based-testing-filter: the header test-epp-endpoint-selection lists hosts or host:port; they are kept
// in that order, and nothing without the header. destination-endpoint-served-verifier: copies the address
// that served to x-conformance-test-served-endpoint; what the proxy reports stands in the header
// x-gateway-destination-endpoint-served.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_header_based_testing_filter(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_destination_endpoint_served_verifier(PluginSetup& setup);

}  // namespace llmd::picker
