#include "openai/api_error.h"

#include "json/value.h"

namespace llmd::openai {
namespace {

void write_or_null(std::string& out, std::string_view text) {
  if (text.empty()) {
    out += "null";
  } else {
    json::write_quoted_to(out, text);
  }
}

}  // namespace

std::string ApiError::body() const {
  std::string out = R"({"error":{"message":)";
  json::write_quoted_to(out, message);
  out += R"(,"type":)";
  json::write_quoted_to(out, type);
  out += R"(,"param":)";
  write_or_null(out, param);
  out += R"(,"code":)";
  write_or_null(out, code);
  return out + "}}";
}

}  // namespace llmd::openai
