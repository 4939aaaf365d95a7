// From a service as its author wrote it to the service that takes effect: presets, then baseRefs in order,
// then the service itself, merged by presence; templates expanded; defaults that depend on the whole filled
// in.
#pragma once

#include <string>
#include <vector>

#include "json/value.h"
#include "llmisvc/facts.h"
#include "llmisvc/finding.h"

namespace llmd::llmisvc {

struct AppliedConfig {
  std::string name;
  std::string name_space;
  bool is_preset = false;
  bool operator==(const AppliedConfig&) const = default;
};

// One of the specs that were merged.
struct Layer {
  enum class Kind { Preset, BaseRef, Service };
  Kind kind = Kind::Service;
  std::string name = {};    // of the config, with its namespace; of the service
  std::string source = {};  // file, "cluster" or "built in"
  json::Object spec = {};   // as written
};

struct Composition {
  json::Object object;                 // apiVersion, kind, metadata, effective spec
  std::vector<AppliedConfig> applied;  // in merge order
  std::vector<Layer> layers;           // the same with their specs, the service last
  Findings findings;                   // with errors the object is incomplete
};

Composition compose(const json::Object& service, const Facts& facts);

}  // namespace llmd::llmisvc
