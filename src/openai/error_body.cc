#include "openai/error_body.h"

#include "json/value.h"

namespace llmd::openai {

std::string_view error_type(int status) {
  switch (status) {
    case 400:
      return "BadRequestError";
    case 401:
      return "AuthenticationError";
    case 403:
      return "PermissionDeniedError";
    case 404:
      return "NotFoundError";
    case 408:
      return "TimeoutError";
    case 409:
      return "ConflictError";
    case 413:
      return "RequestTooLargeError";
    case 422:
      return "UnprocessableEntityError";
    case 429:
      return "RateLimitError";
    case 499:
      return "ClientClosedRequestError";
    case 501:
      return "NotImplementedError";
    case 502:
      return "BadGatewayError";
    case 503:
      return "ServiceUnavailableError";
    case 504:
      return "GatewayTimeoutError";
    default:
      return status < 500 ? "BadRequestError" : "InternalServerError";
  }
}

std::string error_body(int status, std::string_view message, std::string_view param) {
  std::string body = R"({"error":{"message":)";
  json::write_quoted_to(body, message);
  body += R"(,"type":)";
  json::write_quoted_to(body, error_type(status));
  body += R"(,"param":)";
  if (param.empty()) {
    body += "null";
  } else {
    json::write_quoted_to(body, param);
  }
  body += R"(,"code":)";
  body += std::to_string(status);
  body += "}}";
  return body;
}

std::string error_body(const Error& error, std::string_view param) {
  return error_body(http_status(error.kind), error.text(), param);
}

std::string error_event(int status, std::string_view message) {
  return "data: " + error_body(status, message) + "\n\n";
}

}  // namespace llmd::openai
