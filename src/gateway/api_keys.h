// API keys: who may ask for which model, how much. Keys are known by their SHA-256 only. Any thread.
#pragma once

#include <expected>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "crypto/hash.h"
#include "gateway/configuration.h"
#include "gateway/rate_limits.h"
#include "http/message.h"
#include "openai/api_error.h"

namespace llmd::gateway {

class ApiKey {
 public:
  explicit ApiKey(const ApiKeyConfiguration& configuration);

  const std::string& name() const { return name_; }
  bool trusted() const { return trusted_; }
  bool allows(std::string_view model) const;
  RateLimits& limits() const { return limits_; }
  std::string_view digest() const { return digest_; }

 private:
  std::string name_;
  std::string digest_;
  std::vector<std::string> models_;
  bool trusted_;
  mutable RateLimits limits_;
};

class ApiKeys {
 public:
  explicit ApiKeys(std::span<const ApiKeyConfiguration> configured);

  bool required() const { return !keys_.empty(); }
  // The key a request brings: Authorization: Bearer, x-api-key or api-key. Null: keys are not required.
  // 401 invalid_api_key otherwise. Compares with every key in constant time.
  std::expected<const ApiKey*, openai::ApiError> authenticate(const http::Headers& headers) const;
  // Takes the secret off: it is ours, not the engine's.
  void strip(http::Headers& headers) const;

 private:
  std::vector<std::unique_ptr<ApiKey>> keys_;
};

openai::ApiError model_not_allowed(const ApiKey& key, std::string_view model);  // 403
openai::ApiError limit_reached(const ApiKey& key, const LimitReached& limit);   // 429

}  // namespace llmd::gateway
