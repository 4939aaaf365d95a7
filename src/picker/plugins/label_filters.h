// Filters by endpoint labels, evaluated once per endpoint:
// by-label                                      {label, validValues, allowsNoLabel}
// label-selector-filter (by-label-selector)     a Kubernetes LabelSelector
// decode-filter, prefill-filter, encode-filter  roles in the label llm-d.ai/role
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_by_label(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_label_selector_filter(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_decode_filter(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_prefill_filter(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_encode_filter(PluginSetup& setup);

}  // namespace llmd::picker
