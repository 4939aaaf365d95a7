// The parts of the values conversion. Private to it.
#pragma once

#include <optional>
#include <string>

#include "llmisvc/values_reader.h"

namespace llmd::llmisvc {

// What both roles need to know about the whole file.
struct ValuesContext {
  std::string model_name;      // modelArtifacts.name
  std::string uri;             // modelArtifacts.uri
  std::string secret;          // authSecretName
  std::string mount_path;      // of the model volume
  std::string size_limit;      // of the model volume; empty: none
  std::string accelerator;     // accelerator.type
  std::string scheduler_name;  // of Kubernetes
  std::string service_account;
  long long service_port = 8000;
  long long target_port = 8200;
  bool multinode = false;
  bool own_launch = false;  // the file starts its engines itself
  bool has_prefill = false;
  bool has_proxy = true;
};

// A WorkloadSpec (replicas, parallelism, annotations, template, worker) from `decode` or `prefill`. May set
// `served_name`, where arguments say so.
json::Object convert_role(ValuesReader& values, const ValuesContext& context, const std::string& role,
                          std::string& served_name);

// Container 0 of a role as `main`, without what the presets give.
json::Object convert_engine(ValuesReader& values, const ValuesContext& context, const std::string& role,
                            json::Object& parallelism, std::string& served_name);

// spec.router from `routing` (and, until chart 0.2, its route, pool and picker); criticality goes to `model`.
json::Object convert_routing(ValuesReader& values, const ValuesContext& context, json::Object& model);
// The routing sidecar's settings as an init container of decode; nullopt when the preset's are right.
std::optional<json::Object> convert_proxy(ValuesReader& values, const ValuesContext& context);

// Members of `from` into `into`, as Helm's authors mean extraConfig: lists by name, objects by member, and
// what is already there stays. Conflicts are findings at `path`.
void merge_extra(json::Object& into, const json::Object& from, const std::string& path, ValuesReader& values);

}  // namespace llmd::llmisvc
