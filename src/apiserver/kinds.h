// Which kinds this server stores, and what each of them has: names, subresources, selectable fields. Data,
// not code: a new kind is one row in kinds.cc (and its fields in kube/schema_*.cc).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kube/resource.h"
#include "kube/schema.h"

namespace llmd::apiserver {

struct Subresource {
  std::string_view name;
  std::string_view group;  // of the kind it takes and returns; empty with the version: the resource's own
  std::string_view version;
  std::string_view kind;
  std::vector<std::string_view> verbs;
};

struct Kind {
  kube::Resource resource;
  std::string_view singular;
  std::vector<std::string_view> short_names;
  std::vector<std::string_view> categories;
  bool has_status = false;  // a status subresource; the main endpoint then ignores status
  bool has_scale = false;
  bool has_generation = false;  // counts changes of the specification
  bool custom =
      false;  // a custom resource on a real cluster: no strategic merge, no defaults, lists keep kinds
  bool read_only = false;                // listed and empty, for clients that insist on asking
  std::vector<std::string_view> fields;  // selectable besides metadata.name and metadata.namespace
  std::vector<Subresource> more;         // log, exec, ...
  std::string_view schema_name;          // in kube/schema.h; empty: no schema

  std::size_t index = 0;  // position in served_kinds()
  const kube::Type* schema = nullptr;

  std::vector<std::string_view> verbs() const;
  std::vector<Subresource> subresources() const;  // status and scale included
  bool has_subresource(std::string_view name) const;
};

std::span<const Kind> served_kinds();
const Kind* find_kind(std::string_view group, std::string_view version, std::string_view plural);
const Kind& kind_of(const kube::Resource& resource);

// Groups in the order clients prefer them, "" (core) first; every group here has one version.
struct GroupVersion {
  std::string_view group;
  std::string_view version;
  std::string text() const;  // "v1", "apps/v1"
};
std::span<const GroupVersion> served_group_versions();

}  // namespace llmd::apiserver
