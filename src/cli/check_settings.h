// What `llmd check` says of documents that are read by our own programs and not by Kubernetes: an
// EndpointPickerConfig as `llmd picker` takes it, alone or in spec.router.scheduler.config.inline of a
// service; a GatewayConfiguration as `llmd gateway` does. Stricter than they are: a parameter that nobody
// knows is an error whatever the group of the document.
#pragma once

#include "cli/offline.h"

namespace llmd::cli {

llmisvc::Findings check_settings(const std::vector<TextFile>& files);

}  // namespace llmd::cli
