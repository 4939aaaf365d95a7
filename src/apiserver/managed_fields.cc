#include "apiserver/managed_fields.h"

#include <boost/json/array.hpp>

#include <algorithm>

#include "json/value.h"

namespace llmd::apiserver {

namespace {

using json::Array;
using json::Object;
using json::Value;

constexpr std::size_t kMaxManagers = 100;

// "labels: {}" says nothing, and nothing of it would be stored.
void drop_empty_metadata(Object& object) {
  Value* metadata = object.if_contains("metadata");
  for (const std::string_view key : {"labels", "annotations", "finalizers", "ownerReferences"}) {
    const Value* value =
        metadata && metadata->is_object() ? metadata->get_object().if_contains(key) : nullptr;
    if (value && ((value->is_object() && value->get_object().empty()) ||
                  (value->is_array() && value->get_array().empty()))) {
      metadata->get_object().erase(key);
    }
  }
}

ManagerEntry* find_entry(std::vector<ManagerEntry>& managers, const Writer& writer, bool applies) {
  const auto found = std::ranges::find_if(managers, [&](const ManagerEntry& entry) {
    return entry.manager == writer.manager && entry.subresource == writer.subresource &&
           entry.applies == applies;
  });
  return found == managers.end() ? nullptr : &*found;
}

ManagerEntry& entry_of(std::vector<ManagerEntry>& managers, const Writer& writer, bool applies,
                       std::string_view version) {
  if (ManagerEntry* found = find_entry(managers, writer, applies)) {
    return *found;
  }
  return managers.emplace_back(
      ManagerEntry{writer.manager, applies, std::string(version), writer.subresource, writer.now, {}});
}

// A controller that names itself anew at every start must not make the object grow without end.
void bound(std::vector<ManagerEntry>& managers) {
  std::erase_if(managers, [](const ManagerEntry& entry) { return entry.fields.empty(); });
  while (managers.size() > kMaxManagers) {
    const auto oldest = std::ranges::min_element(managers, {}, [](const ManagerEntry& entry) {
      return std::pair(entry.applies, std::string_view(entry.time));
    });
    managers.erase(oldest);
  }
}

struct Conflict {
  const ManagerEntry* owner;
  FieldSet fields;
};

Failure conflict_failure(const std::vector<Conflict>& conflicts) {
  Array causes;
  std::string text;
  std::size_t count = 0;
  for (const Conflict& conflict : conflicts) {
    std::string by = "conflict with " + go_quoted(conflict.owner->manager);
    if (!conflict.owner->subresource.empty()) {
      by += " with subresource " + go_quoted(conflict.owner->subresource);
    }
    if (!conflict.owner->applies) {
      by += " using " + conflict.owner->api_version;
    }
    std::string paths;
    for_each_path(conflict.fields, [&](const std::string& path) {
      ++count;
      paths += "\n- " + path;
      causes.push_back({{"reason", "FieldManagerConflict"}, {"message", by}, {"field", path}});
    });
    text += (text.empty() ? "conflicts" : "\nconflicts") + by.substr(std::string_view("conflict").size()) +
            ":" + paths;
  }
  if (count == 1) {
    const Object& only = causes.front().get_object();
    text = fmt::format("{}: {}", kube::find_string(only, "message"), kube::find_string(only, "field"));
  }
  Failure failure{409,
                  "Conflict",
                  fmt::format("Apply failed with {} conflict{}: {}", count, count == 1 ? "" : "s", text),
                  {}};
  failure.details["causes"] = std::move(causes);
  return failure;
}

Answer<> check_conflicts(std::vector<ManagerEntry>& managers, const ManagerEntry* mine,
                         const FieldSet& changed, bool force) {
  std::vector<Conflict> conflicts;
  for (ManagerEntry& entry : managers) {
    if (&entry == mine) {
      continue;
    }
    FieldSet shared = entry.fields & changed;
    if (shared.empty()) {
      continue;
    }
    if (force) {
      entry.fields -= shared;
    } else {
      conflicts.push_back({&entry, std::move(shared)});
    }
  }
  if (!conflicts.empty()) {
    return std::unexpected(conflict_failure(conflicts));
  }
  return {};
}

}  // namespace

std::vector<ManagerEntry> read_managers(const Object& object) {
  std::vector<ManagerEntry> managers;
  const Array* list = kube::find_array(object, "metadata.managedFields");
  for (std::size_t i = 0; list && i < list->size() && managers.size() < kMaxManagers; ++i) {
    if (!(*list)[i].is_object()) {
      continue;
    }
    const Object& item = (*list)[i].get_object();
    const Value* fields = item.if_contains("fieldsV1");
    auto set = fields ? FieldSet::from_json(*fields) : FieldSet();
    if (!set || kube::find_string(item, "manager").empty()) {
      continue;
    }
    managers.push_back({std::string(kube::find_string(item, "manager")),
                        kube::find_string(item, "operation") == "Apply",
                        std::string(kube::find_string(item, "apiVersion")),
                        std::string(kube::find_string(item, "subresource")),
                        std::string(kube::find_string(item, "time")), std::move(*set)});
  }
  return managers;
}

void write_managers(Object& object, const std::vector<ManagerEntry>& managers) {
  Value& metadata = object["metadata"];
  if (!metadata.is_object()) {
    metadata.emplace_object();
  }
  if (managers.empty()) {
    metadata.get_object().erase("managedFields");
    return;
  }
  Array list;
  for (const ManagerEntry& entry : managers) {
    Object item{{"manager", entry.manager},
                {"operation", entry.applies ? "Apply" : "Update"},
                {"apiVersion", entry.api_version},
                {"time", entry.time},
                {"fieldsType", "FieldsV1"}};
    item["fieldsV1"] = entry.fields.to_json();
    if (!entry.subresource.empty()) {
      item["subresource"] = entry.subresource;
    }
    list.push_back(std::move(item));
  }
  metadata.get_object()["managedFields"] = std::move(list);
}

Value ownable(const Object& object) {
  Object copy = object;
  copy.erase("apiVersion");
  copy.erase("kind");
  if (Value* metadata = copy.if_contains("metadata"); metadata && metadata->is_object()) {
    for (const std::string_view key :
         {"name", "namespace", "uid", "generation", "resourceVersion", "creationTimestamp",
          "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "selfLink", "generateName"}) {
      metadata->get_object().erase(key);
    }
    if (metadata->get_object().empty()) {
      copy.erase("metadata");
    }
  }
  return Value(std::move(copy));
}

void record_update(const Kind& kind, const Object& before, Object& after, const Writer& writer) {
  std::vector<ManagerEntry> managers = read_managers(after);
  const Difference difference = compare(ownable(before), ownable(after), kind.schema);
  if (difference.empty()) {
    return;
  }
  for (ManagerEntry& entry : managers) {
    entry.fields -= difference.removed;
    if (entry.applies || entry.manager != writer.manager || entry.subresource != writer.subresource) {
      entry.fields -= difference.modified;
    }
  }
  ManagerEntry& mine = entry_of(managers, writer, false, kube::api_version_of(after));
  mine.fields |= difference.added;
  mine.fields |= difference.modified;
  mine.time = writer.now;
  bound(managers);
  write_managers(after, managers);
}

Answer<Object> apply_patch(const Kind& kind, const Object* live, const Object& applied, const Writer& writer,
                           bool force) {
  Object base;
  if (live) {
    base = *live;
  } else {
    base["apiVersion"] = kind.resource.api_version();
    base["kind"] = kind.resource.kind;
    base["metadata"].emplace_object();
  }
  std::vector<ManagerEntry> managers = read_managers(base);
  Object named = applied;  // with the name, for an object that is made here
  drop_empty_metadata(named);
  const Value wanted = ownable(named);
  const FieldSet new_fields = fields_of(wanted, kind.schema);
  if (const std::string mistake = key_mistake(wanted, kind.schema); !mistake.empty()) {
    return std::unexpected(bad_request(fmt::format(
        "failed to create typed patch object ({}/{}; {}, Kind={}): {}", kube::namespace_of(applied),
        kube::name_of(applied), kind.resource.api_version(), kind.resource.kind, mistake)));
  }
  Value merged = merge_applied(Value(base), Value(std::move(named)), kind.schema);

  ManagerEntry* mine = find_entry(managers, writer, true);
  const Difference difference = compare(ownable(base), ownable(merged.get_object()), kind.schema);
  FieldSet changed = difference.added;
  changed |= difference.modified;
  LLMD_TRY_VOID(check_conflicts(managers, mine, changed, force));

  if (mine) {
    FieldSet leaving = mine->fields;
    leaving -= new_fields;
    FieldSet kept = new_fields;
    for (const ManagerEntry& entry : managers) {
      if (&entry != mine) {
        kept |= entry.fields;
      }
    }
    remove_fields(merged, leaving, kept, kind.schema);
  }
  ManagerEntry& entry = entry_of(managers, writer, true, kind.resource.api_version());
  const bool same = entry.fields == new_fields;
  entry.fields = new_fields;
  Object result = std::move(merged.get_object());
  // The entry's time changes only when something else does too.
  if (!same || ownable(result) != ownable(base)) {
    entry.time = writer.now;
  }
  bound(managers);
  write_managers(result, managers);
  return result;
}

}  // namespace llmd::apiserver
