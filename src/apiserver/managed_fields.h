// metadata.managedFields: which manager owns which fields. Written on every change, read by server-side
// apply.
#pragma once

#include <string>
#include <vector>

#include "apiserver/failure.h"
#include "apiserver/field_set.h"
#include "apiserver/kinds.h"
#include "kube/object.h"

namespace llmd::apiserver {

struct ManagerEntry {
  std::string manager;
  bool applies = false;  // operation Apply; else Update
  std::string api_version;
  std::string subresource;
  std::string time;
  FieldSet fields;
};

struct Writer {
  std::string manager;
  std::string subresource;
  std::string now;  // RFC 3339
};

std::vector<ManagerEntry> read_managers(const kube::Object& object);
void write_managers(kube::Object& object, const std::vector<ManagerEntry>& managers);

// The object without what nobody can own (names, versions, managedFields, ...): what sets of fields are made
// of.
boost::json::value ownable(const kube::Object& object);

// After a write that is no apply: what changed belongs to the writer, and no longer to others.
void record_update(const Kind& kind, const kube::Object& before, kube::Object& after, const Writer& writer);

// Server-side apply. `live` is null when there is no object yet. The result has the manager's entry, but
// neither defaults nor system metadata of a new object. Without `force` fields that others own with another
// value are a conflict.
Answer<kube::Object> apply_patch(const Kind& kind, const kube::Object* live, const kube::Object& applied,
                                 const Writer& writer, bool force);

}  // namespace llmd::apiserver
