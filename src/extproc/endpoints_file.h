// Endpoints from a file: `endpoints: [{name, namespace, address, port, labels}]`, as llm-d's file-discovery
// has it. Addresses may be IPv4, IPv6 or host names; ports numbers or texts. The labels metricsAddress and
// metricsPort say where numbers are scraped instead.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "async/task.h"
#include "picker/endpoint.h"

namespace llmd::extproc {

// Errors carry file, line and path. Pure.
Result<std::vector<picker::Endpoint>> parse_endpoints(std::string_view text, std::string_view source_name);
Result<std::vector<picker::Endpoint>> read_endpoints(const std::filesystem::path& file);

// Looks once per second whether the file has changed, until cancelled. A file that cannot be read, or has a
// mistake, is logged and changes nothing.
Task<void> watch_endpoints(std::filesystem::path file,
                           std::function<void(std::vector<picker::Endpoint>)> changed);

}  // namespace llmd::extproc
