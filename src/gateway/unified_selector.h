// Which model a request asks for, and of which owner, from its body, its headers and its query. Pure.
//
// model: the body's `model` (JSON, or a field of a multipart form), then the header x-model, then the query.
// owner: body owned_by, engine, inference_server; header x-owned-by; query owned_by, engine,
// inference_server. The first that is not empty wins; upper and lower case do not count.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "openai/api_error.h"
#include "openai/top_level_members.h"

namespace llmd::gateway {

struct UnifiedSelector {
  std::string model;
  std::string owner;                              // empty: not said
  std::vector<std::string> owners;                // different ones that were said, the first wins
  std::optional<openai::TopLevelMember> in_body;  // where the model stands in a JSON body
  std::vector<openai::TopLevelMember> to_remove;  // members of the body that are for us only
};

// 400: the body is no JSON object, or no model is named. `strict`: also when owners contradict each other.
std::expected<UnifiedSelector, openai::ApiError> read_selector(const http::RequestHead& head,
                                                               std::string_view body, bool strict);

// The target without the parameters owned_by, engine and inference_server; the rest stays as it was written.
std::string without_selector(std::string_view target);

}  // namespace llmd::gateway
