// Plugins over single numbers of endpoints: queue, cache usage, and custom metrics of the extractor.
// endpoint-attribute-filter  {attribute, producer, onMissing, fallbackOnEmpty, algorithm{threshold}}
// endpoint-attribute-scorer  {attributeKey, producer, algorithm{type, normalization}}
// utilization-filter         {conditions[{metric, maxValue}], fallbackOnEmpty}
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_endpoint_attribute_filter(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_endpoint_attribute_scorer(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_utilization_filter(PluginSetup& setup);

}  // namespace llmd::picker
