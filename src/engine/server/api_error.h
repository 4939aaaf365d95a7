// Errors as clients of OpenAI's API see them: {"error":{"message","type","param","code"}}.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace llmd::engine {

struct ApiError {
  int status = 500;
  std::string type = "InternalServerError";
  std::string message;
  std::optional<std::string> param;
};

template <typename T = void>
using Api = std::expected<T, ApiError>;

// 400 BadRequestError about one parameter; an empty one is none.
std::unexpected<ApiError> bad_request(std::string message, std::string_view param = {});
// 501 NotImplementedError.
std::unexpected<ApiError> not_implemented(std::string message, std::string_view param = {});
// An error of ours; its kind gives status and type.
ApiError api_error(const Error& error);
// The same, where the message begins with "parameter: ".
ApiError parameter_error(const Error& error);
// The type that goes with a status.
std::string_view error_type(int status);

std::string error_body(const ApiError& error);

}  // namespace llmd::engine
