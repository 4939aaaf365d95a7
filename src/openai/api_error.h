// Errors of the API itself, with a code that programs can tell apart (model_not_found, invalid_api_key, ...),
// as OpenAI's own servers send them: {"error":{"message","type","param","code"}}. error_body.h has the shape
// for everything that only has an HTTP status.
#pragma once

#include <string>
#include <string_view>

namespace llmd::openai {

struct ApiError {
  int status = 400;
  std::string_view type = "invalid_request_error";
  std::string_view code;  // empty: null
  std::string message;
  std::string_view param;  // empty: null
  int retry_after = 0;     // seconds, for the header Retry-After; 0: none

  std::string body() const;
};

}  // namespace llmd::openai
