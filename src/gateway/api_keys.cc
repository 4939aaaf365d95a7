#include "gateway/api_keys.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "crypto/encode.h"
#include "crypto/random.h"

namespace llmd::gateway {
namespace {

constexpr std::string_view kBearer = "bearer ";
constexpr std::string_view kHashPrefix = "sha256:";

std::string_view presented_key(const http::Headers& headers) {
  const std::string_view authorization = headers.find("authorization").value_or("");
  if (authorization.size() > kBearer.size() &&
      equals_ignoring_case(authorization.substr(0, kBearer.size()), kBearer)) {
    return trim(authorization.substr(kBearer.size()));
  }
  for (const char* name : {"x-api-key", "api-key"}) {
    if (const auto key = headers.find(name)) {
      return trim(*key);
    }
  }
  return {};
}

}  // namespace

ApiKey::ApiKey(const ApiKeyConfiguration& configuration)
    : name_(configuration.name),
      digest_(crypto::from_hex(std::string_view(configuration.hash).substr(kHashPrefix.size())).value_or("")),
      models_(configuration.models),
      trusted_(configuration.trusted),
      limits_({.requests_per_minute = configuration.requestsPerMinute,
               .tokens_per_minute = configuration.tokensPerMinute,
               .concurrency = configuration.concurrency}) {}

bool ApiKey::allows(std::string_view model) const {
  return models_.empty() || std::ranges::any_of(models_, [&](std::string_view allowed) {
           return allowed.ends_with('*') ? model.starts_with(allowed.substr(0, allowed.size() - 1))
                                         : model == allowed;
         });
}

ApiKeys::ApiKeys(std::span<const ApiKeyConfiguration> configured) {
  for (const ApiKeyConfiguration& key : configured) {
    keys_.push_back(std::make_unique<ApiKey>(key));
  }
}

std::expected<const ApiKey*, openai::ApiError> ApiKeys::authenticate(const http::Headers& headers) const {
  if (!required()) {
    return nullptr;
  }
  const std::string_view key = presented_key(headers);
  if (key.empty()) {
    return std::unexpected(
        openai::ApiError{.status = 401,
                         .code = "invalid_api_key",
                         .message = "You didn't provide an API key. Send it as Authorization: Bearer KEY."});
  }
  const auto digest = crypto::sha256(key);
  const ApiKey* found = nullptr;
  for (const auto& known : keys_) {  // all of them: the time tells nothing
    if (crypto::equal_in_constant_time(known->digest(), crypto::bytes_of(digest))) {
      found = known.get();
    }
  }
  if (found == nullptr) {
    return std::unexpected(
        openai::ApiError{.status = 401, .code = "invalid_api_key", .message = "Incorrect API key provided."});
  }
  return found;
}

void ApiKeys::strip(http::Headers& headers) const {
  if (required()) {
    for (const char* name : {"authorization", "x-api-key", "api-key"}) {
      headers.remove(name);
    }
  }
}

openai::ApiError model_not_allowed(const ApiKey& key, std::string_view model) {
  return {.status = 403,
          .code = "model_not_allowed",
          .message = fmt::format("The API key \"{}\" may not use the model `{}`.", key.name(), model),
          .param = "model"};
}

openai::ApiError limit_reached(const ApiKey& key, const LimitReached& limit) {
  return {.status = 429,
          .type = limit.what.starts_with("tokens") ? "tokens" : "requests",
          .code = "rate_limit_exceeded",
          .message = fmt::format("The API key \"{}\" has reached its limit of {} {}. Try again in {} s.",
                                 key.name(), limit.limit, limit.what, limit.retry_after),
          .retry_after = limit.retry_after};
}

}  // namespace llmd::gateway
