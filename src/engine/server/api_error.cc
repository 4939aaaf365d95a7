#include "engine/server/api_error.h"

#include "json/value.h"

namespace llmd::engine {

std::unexpected<ApiError> bad_request(std::string message, std::string_view param) {
  return std::unexpected(ApiError{400, "BadRequestError", std::move(message),
                                  param.empty() ? std::nullopt : std::optional(std::string(param))});
}

std::unexpected<ApiError> not_implemented(std::string message, std::string_view param) {
  return std::unexpected(ApiError{501, "NotImplementedError", std::move(message),
                                  param.empty() ? std::nullopt : std::optional(std::string(param))});
}

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
    case 405:
      return "MethodNotAllowedError";
    case 422:
      return "UnprocessableEntityError";
    case 429:
      return "RateLimitError";
    case 501:
      return "NotImplementedError";
    default:
      return status >= 500 ? "InternalServerError" : "APIConnectionError";
  }
}

ApiError api_error(const Error& error) {
  const int status = http_status(error.kind);
  return {status, std::string(error_type(status)), error.text(), std::nullopt};
}

ApiError parameter_error(const Error& error) {
  ApiError shown = api_error(error);
  const std::size_t colon = error.message.find(": ");
  if (colon != std::string::npos && error.message.find(' ') > colon) {
    shown.param = error.message.substr(0, colon);
  }
  return shown;
}

std::string error_body(const ApiError& error) {
  std::string body = R"({"error":{"message":)";
  json::write_quoted_to(body, error.message);
  body += R"(,"type":)";
  json::write_quoted_to(body, error.type);
  body += R"(,"param":)";
  if (error.param) {
    json::write_quoted_to(body, *error.param);
  } else {
    body += "null";
  }
  body += R"(,"code":)" + std::to_string(error.status) + "}}";
  return body;
}

}  // namespace llmd::engine
