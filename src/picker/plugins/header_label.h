// Plugins that compare a request header with the endpoint.
// header-label-filter           {headerName, labelKey, required}: keeps endpoints whose label equals the
// header;
//                               without the header all, or none with `required: true`.
// header-label-affinity-scorer  {headerName, labelKey}: 1 where the label equals the header, else 0.
// model-owner-filter            {headerName x-owned-by, labelKey llm-d.ai/owned-by}: endpoints that serve the
//                               model for the wanted owner: by what /v1/models lists (id and owned_by) or by
//                               labels.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_header_label_filter(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_header_label_affinity_scorer(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_model_owner_filter(PluginSetup& setup);

}  // namespace llmd::picker
