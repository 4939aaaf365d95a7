// What a request asks for, taken apart once: the kind, the object, the options of the query.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apiserver/failure.h"
#include "apiserver/kinds.h"
#include "http/message.h"
#include "kube/object.h"

namespace llmd::apiserver {

// The query, decoded; '+' is a space there.
class Query {
 public:
  explicit Query(std::string_view text);
  std::string_view find(std::string_view name) const;  // "" when absent
  bool has(std::string_view name) const;
  bool flag(std::string_view name) const;  // true, 1 or bare
  std::vector<std::string> all(std::string_view name) const;
  void add_missing(std::string_view name, std::string_view value);

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

struct ResourcePath {
  const Kind* kind = nullptr;
  kube::ObjectKey key;  // name empty: the collection
  std::string subresource;
};

// "/apis/apps/v1/namespaces/default/deployments/web/scale"; nullopt when it is no path of a served kind.
std::optional<ResourcePath> parse_resource_path(std::string_view path);

enum class FieldValidation { Ignore, Warn, Strict };

struct Request {
  std::string method;
  ResourcePath path;
  Query query{""};
  std::string accept;
  std::string content_type;  // without parameters; "" when absent
  std::string manager;       // who owns the fields this request writes
  std::string body;
  bool dry_run = false;
  FieldValidation validation = FieldValidation::Warn;
  std::vector<std::string> warnings;  // sent back in Warning headers

  const Kind& kind() const { return *path.kind; }
  const kube::Resource& resource() const { return path.kind->resource; }
};

// Checks dryRun, fieldValidation and fieldManager.
Answer<> read_options(Request& request, const http::RequestHead& head);

}  // namespace llmd::apiserver
