// Endpoints, and the pools they belong to, from a file: the form of llm-d's file-discovery,
//
//   endpoints:
//   - {name: a, namespace: default, address: 10.0.0.1, port: "8000", labels: {llm-d.ai/role: decode}}
//
// and, for a picker that serves several pools, also
//
//   pools:
//   - {name: llama, models: [llama-8b], hosts: [llama.example.com], config: llama.yaml, default: true}
//   endpoints:
//   - {name: a, pool: llama, address: engine-7.example.com, port: 8000}
//
// Addresses are IPv4, IPv6 (with or without brackets) or host names; ports numbers or texts. The labels
// metricsAddress and metricsPort say where numbers are scraped instead.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "async/task.h"
#include "picker/endpoint.h"

namespace llmd::picker {

// Requests choose a pool by its name, one of its host names or one of its models.
struct PoolEntry {
  std::string name;
  std::vector<std::string> models = {};
  std::vector<std::string> hosts = {};
  std::string config = {};  // file with a configuration of its own; empty: the program's
  bool is_default = false;  // gets what no pool claims
  bool operator==(const PoolEntry&) const = default;
};

struct EndpointsFile {
  // In the order of the file; pools that only endpoints name come last.
  std::vector<PoolEntry> pools;
  std::map<std::string, std::vector<Endpoint>, std::less<>> endpoints;  // by pool; "": without one
};

// Errors carry file, line and path: names must be unique within a pool, and when pools are listed endpoints
// must belong to one of them. Pure.
Result<EndpointsFile> parse_endpoints(std::string_view text, std::string_view source_name);

// From `text`, which has been read already, on and until cancelled. What has a mistake is logged and changes
// nothing.
Task<void> watch_endpoints(std::filesystem::path file, std::string text,
                           std::function<void(EndpointsFile)> changed);

}  // namespace llmd::picker
