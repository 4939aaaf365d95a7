#include "apiserver/discovery.h"

#include <boost/json/array.hpp>

#include <functional>
#include <map>

#include "apiserver/kinds.h"
#include "json/value.h"

namespace llmd::apiserver {

namespace {

using json::Array;
using json::Object;
using json::Value;

constexpr std::string_view kAggregated =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

// Questions that are answered and not stored.
struct Review {
  std::string_view group;
  std::string_view plural;
  std::string_view singular;
  std::string_view kind;
};
constexpr Review kReviews[] = {
    {"authentication.k8s.io", "selfsubjectreviews", "selfsubjectreview", "SelfSubjectReview"},
    {"authorization.k8s.io", "selfsubjectaccessreviews", "selfsubjectaccessreview",
     "SelfSubjectAccessReview"},
    {"authorization.k8s.io", "selfsubjectrulesreviews", "selfsubjectrulesreview", "SelfSubjectRulesReview"},
};

Array texts(const std::vector<std::string_view>& list) {
  Array array;
  for (const std::string_view text : list) {
    array.emplace_back(boost::json::string_view(text.data(), text.size()));
  }
  return array;
}

// ---- one APIResourceList per group version
// -----------------------------------------------------------------------------

Object resource_entry(const Kind& kind) {
  Object entry{{"name", kind.resource.plural},
               {"singularName", kind.singular},
               {"namespaced", kind.resource.namespaced},
               {"kind", kind.resource.kind}};
  entry["verbs"] = texts(kind.verbs());
  if (!kind.short_names.empty()) {
    entry["shortNames"] = texts(kind.short_names);
  }
  if (!kind.categories.empty()) {
    entry["categories"] = texts(kind.categories);
  }
  return entry;
}

Object subresource_entry(const Kind& kind, const Subresource& sub) {
  Object entry{{"name", std::string(kind.resource.plural) + "/" + std::string(sub.name)},
               {"singularName", ""},
               {"namespaced", kind.resource.namespaced}};
  if (!sub.version.empty()) {
    entry["group"] = sub.group;
    entry["version"] = sub.version;
  }
  entry["kind"] = sub.kind;
  entry["verbs"] = texts(sub.verbs);
  return entry;
}

Object resource_list(const GroupVersion& version) {
  Object list{{"kind", "APIResourceList"}, {"apiVersion", "v1"}, {"groupVersion", version.text()}};
  Array& resources = list["resources"].emplace_array();
  for (const Kind& kind : served_kinds()) {
    if (kind.resource.group == version.group && kind.resource.version == version.version) {
      resources.push_back(resource_entry(kind));
      for (const Subresource& sub : kind.subresources()) {
        resources.push_back(subresource_entry(kind, sub));
      }
    }
  }
  for (const Review& review : kReviews) {
    if (review.group == version.group) {
      resources.push_back({{"name", review.plural},
                           {"singularName", review.singular},
                           {"namespaced", false},
                           {"kind", review.kind},
                           {"verbs", Array{Value("create")}}});
    }
  }
  return list;
}

Object group_entry(const GroupVersion& version) {
  Object entry{{"name", version.group}};
  const Object named{{"groupVersion", version.text()}, {"version", version.version}};
  entry["versions"] = Array{Value(named)};
  entry["preferredVersion"] = named;
  return entry;
}

// ---- the aggregated form
// -----------------------------------------------------------------------------------------------

Object response_kind(const Kind& kind, std::string_view group, std::string_view version,
                     std::string_view name) {
  const bool own = version.empty();
  // Built-in kinds leave group and version to the enclosing ones, custom resources spell them out.
  return {{"group", own && kind.custom ? kind.resource.group : group},
          {"version", own && kind.custom ? kind.resource.version : version},
          {"kind", name}};
}

Object aggregated_resource(const Kind& kind) {
  Object entry{{"resource", kind.resource.plural}};
  entry["responseKind"] = response_kind(kind, "", "", kind.resource.kind);
  entry["scope"] = kind.resource.namespaced ? "Namespaced" : "Cluster";
  entry["singularResource"] = kind.singular;
  entry["verbs"] = texts(kind.verbs());
  if (!kind.short_names.empty()) {
    entry["shortNames"] = texts(kind.short_names);
  }
  if (!kind.categories.empty()) {
    entry["categories"] = texts(kind.categories);
  }
  Array subresources;
  for (const Subresource& sub : kind.subresources()) {
    Object item{{"subresource", sub.name}};
    item["responseKind"] = response_kind(kind, sub.group, sub.version, sub.kind);
    item["verbs"] = texts(sub.verbs);
    subresources.push_back(std::move(item));
  }
  if (!subresources.empty()) {
    entry["subresources"] = std::move(subresources);
  }
  return entry;
}

Object aggregated(bool core) {
  Object list{{"kind", "APIGroupDiscoveryList"}, {"apiVersion", "apidiscovery.k8s.io/v2"}};
  list["metadata"].emplace_object();
  Array& items = list["items"].emplace_array();
  for (const GroupVersion& version : served_group_versions()) {
    if (version.group.empty() != core) {
      continue;
    }
    Array resources;
    for (const Kind& kind : served_kinds()) {
      if (kind.resource.group == version.group) {
        resources.push_back(aggregated_resource(kind));
      }
    }
    for (const Review& review : kReviews) {
      if (review.group == version.group) {
        resources.push_back({{"resource", review.plural},
                             {"responseKind", {{"group", ""}, {"version", ""}, {"kind", review.kind}}},
                             {"scope", "Cluster"},
                             {"singularResource", review.singular},
                             {"verbs", Array{Value("create")}}});
      }
    }
    Object group;
    group["metadata"] = {{"name", version.group}, {"creationTimestamp", nullptr}};
    group["versions"] = Array{Value(
        Object{{"version", version.version}, {"resources", std::move(resources)}, {"freshness", "Current"}})};
    items.push_back(std::move(group));
  }
  return list;
}

Document document_of(Value body, std::string content_type = "application/json") {
  Document document;
  document.content_type = std::move(content_type);
  document.body = json::write(body);
  document.etag = fmt::format("\"{:016X}\"", std::hash<std::string>()(document.body));
  return document;
}

Document version_document() {
  return document_of(Value{{"major", "1"},
                           {"minor", "31"},
                           {"gitVersion", "v1.31.0+llmd"},
                           {"gitCommit", ""},
                           {"gitTreeState", "clean"},
                           {"buildDate", "2026-01-01T00:00:00Z"},
                           {"goVersion", "none"},
                           {"compiler", "clang"},
                           {"platform", "linux/amd64"}});
}

Document root_document() {
  Array paths{Value("/api"), Value("/api/v1"), Value("/apis")};
  for (const GroupVersion& version : served_group_versions()) {
    if (!version.group.empty()) {
      paths.emplace_back("/apis/" + std::string(version.group));
      paths.emplace_back("/apis/" + version.text());
    }
  }
  for (const char* path : {"/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"}) {
    paths.emplace_back(path);
  }
  return document_of(Value{{"paths", std::move(paths)}});
}

Document core_versions() {
  Object body{{"kind", "APIVersions"}, {"versions", Array{Value("v1")}}};
  body["serverAddressByClientCIDRs"] = Array();
  return document_of(Value(std::move(body)));
}

Document group_list() {
  Array groups;
  for (const GroupVersion& version : served_group_versions()) {
    if (!version.group.empty()) {
      groups.push_back(group_entry(version));
    }
  }
  return document_of(Value{{"kind", "APIGroupList"}, {"apiVersion", "v1"}, {"groups", std::move(groups)}});
}

}  // namespace

std::optional<Document> discovery_document(std::string_view path, std::string_view accept) {
  if (path.size() > 1 && path.ends_with('/')) {
    path.remove_suffix(1);
  }
  const bool wants_aggregated = accept.find("as=APIGroupDiscoveryList") != std::string_view::npos &&
                                accept.find("v=v2;") != std::string_view::npos;
  if (path == "/version") {
    return version_document();
  }
  if (path == "/") {
    return root_document();
  }
  if (path == "/api") {
    return wants_aggregated ? document_of(Value(aggregated(true)), std::string(kAggregated))
                            : core_versions();
  }
  if (path == "/apis") {
    return wants_aggregated ? document_of(Value(aggregated(false)), std::string(kAggregated)) : group_list();
  }
  for (const GroupVersion& version : served_group_versions()) {
    const std::string prefix = version.group.empty() ? "/api/" : "/apis/";
    if (path == prefix + version.text()) {
      return document_of(Value(resource_list(version)));
    }
    if (!version.group.empty() && path == prefix + std::string(version.group)) {
      Object group = group_entry(version);
      group["kind"] = "APIGroup";
      group["apiVersion"] = "v1";
      return document_of(Value(std::move(group)));
    }
  }
  return std::nullopt;
}

}  // namespace llmd::apiserver
