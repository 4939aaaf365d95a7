// Which models there are and who serves each: an immutable picture made by ModelDirectory. Any thread.
//
// A model is told apart by its name and its owner (the engine's kind, or what a label says): the same name
// may be served by vLLM and by SGLang.
#pragma once

#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "gateway/model_target.h"
#include "openai/api_error.h"
#include "openai/model_list.h"
#include "picker/picker.h"

namespace llmd::gateway {

// A target that serves a model.
struct Serving {
  std::shared_ptr<const ModelTarget> target;
  std::shared_ptr<const picker::Picker> picker;
  std::vector<net::Address> not_serving;  // endpoints of the target that answered and do not list the model
};

struct ModelMapping {
  openai::ModelCard card;        // owned_by is the owner
  std::vector<Serving> serving;  // the preferred first
  bool stale = true;             // nobody who answered lately lists it
  bool by_default = false;       // taken when the client names no owner
  std::string target_model;      // the name the engine knows; empty: the card's id
  WallTime last_seen = {};       // epoch: never

  Via via() const { return serving.front().target->via; }
};

class ModelCatalog {
 public:
  std::vector<ModelMapping> mappings;  // sorted by name and owner
  // An endpoint that is ready has not been asked yet: a model that is missing may still turn up.
  bool incomplete = false;

  // Mappings that may serve the request; never empty. `owner` empty: any (the default one, if there is one).
  // The error is 404 model_not_found with the nearest names, or with the owners there are.
  std::expected<std::vector<const ModelMapping*>, openai::ApiError> find(std::string_view model,
                                                                         std::string_view owner) const;
  std::vector<openai::ListedCard> list() const;
  bool knows(std::string_view model) const;
};

}  // namespace llmd::gateway
