// The manifests given on the command line: read, checked, applied.
#pragma once

#include <string>
#include <vector>

#include "async/task.h"
#include "kube/client.h"
#include "llmisvc/facts.h"

namespace llmd::cli {

// Objects of all files in order ("-" is standard input), of each file what services refer to first; a List is
// its items; services are in the version that `llmd up` serves. A folder stands for its *.yaml and *.yml.
// Mistakes are printed like a compiler prints them, and the result is an error that counts them.
Result<std::vector<kube::Object>> load_manifests(const std::vector<std::string>& files);

// Server-side apply in order; namespaces that do not exist are made.
Task<Result<void>> apply_manifests(kube::Client& client, std::vector<kube::Object> objects);

// What check and render assume: a cluster, or this machine as `llmd up` will be on it.
llmisvc::Facts facts_for(bool local);

// A folder is replaced by its *.yaml and *.yml, sorted.
Result<std::vector<std::string>> expand_folders(const std::vector<std::string>& files);

// Reads one file (or standard input).
Result<std::string> read_manifest(const std::string& file);

}  // namespace llmd::cli
