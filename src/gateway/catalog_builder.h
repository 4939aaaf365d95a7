// Makes a ModelCatalog out of targets, entries made by hand, and what endpoints have listed. Private to
// gateway.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gateway/manual_routes.h"
#include "gateway/model_catalog.h"

namespace llmd::gateway {

// What one endpoint says about itself.
struct ProbeState {
  bool asked = false;                    // at least once
  bool answering = false;                // the last time
  std::vector<openai::ModelCard> cards;  // as listed last
  WallTime last_seen = {};
  TimePoint next = {};
  int failures = 0;  // in a row
};
using Probes = std::map<net::Address, ProbeState>;

// Cards a target has had, by name and owner: they outlive its endpoints.
using Remembered = std::map<std::pair<std::string, std::string>, openai::ModelCard>;

struct CatalogInput {
  const std::vector<std::shared_ptr<const ModelTarget>>& targets;
  const std::vector<ManualRoute>& manual;
  const Probes& probes;
  std::function<std::shared_ptr<const picker::Picker>(const ModelTarget&)> picker_of;
  std::string default_owner;
  WallTime now;
};

// `remembered` is by target key; brought up to date.
ModelCatalog build_catalog(const CatalogInput& input, std::map<std::string, Remembered>& remembered);

// The target of an entry made by hand: one of `targets` under another name, or a new one for its address.
// Null: what it refers to does not exist (yet).
std::shared_ptr<const ModelTarget> target_of(const ManualRoute& route,
                                             const std::vector<std::shared_ptr<const ModelTarget>>& targets);

}  // namespace llmd::gateway
