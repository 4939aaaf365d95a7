// What this server can do, as clients ask for it: groups, versions, resources, OpenAPI. Built from the table
// of kinds.
#pragma once

#include <boost/json/object.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace llmd::apiserver {

struct Document {
  std::string content_type = "application/json";
  std::string body;
  std::string etag;        // with quotes
  bool immutable = false;  // its address carries its hash
};

// The document at a path ("/api", "/apis/apps/v1", "/version", "/openapi/v3", ...), in the form `accept` asks
// for.
std::optional<Document> discovery_document(std::string_view path, std::string_view accept);
std::optional<Document> openapi_document(std::string_view path, std::string_view accept);

}  // namespace llmd::apiserver
