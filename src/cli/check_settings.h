// What `llmd check` says of documents that are read by our own programs and not by Kubernetes: an
// EndpointPickerConfig as `llmd picker` takes it, alone, in spec.router.scheduler.config.inline of a service,
// or in the ConfigMap that its `ref` names; a GatewayConfiguration as `llmd gateway` does. Stricter than they
// are: a parameter that nobody knows is an error whatever the group of the document.
#pragma once

#include "cli/offline.h"

namespace llmd::cli {

// `facts`: ConfigMaps that are not among the files. One that is nowhere is check_manifests()' to mention.
llmisvc::Findings check_settings(const std::vector<TextFile>& files, const llmisvc::Facts& facts);

}  // namespace llmd::cli
