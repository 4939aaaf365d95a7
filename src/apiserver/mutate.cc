#include "apiserver/mutate.h"

#include <boost/json/array.hpp>

#include <random>

#include "apiserver/decode.h"
#include "apiserver/defaults.h"
#include "apiserver/validate.h"
#include "json/value.h"

namespace llmd::apiserver {

namespace {

using json::Array;
using json::Object;
using json::Value;

std::mt19937_64& random_bits() {
  static std::mt19937_64 engine{(static_cast<std::uint64_t>(std::random_device{}()) << 32) ^
                                std::random_device{}()};
  return engine;
}

std::string new_uid() {
  const std::uint64_t high = (random_bits()() & ~0xF000ULL) | 0x4000ULL;
  const std::uint64_t low = (random_bits()() >> 2) | 0x8000000000000000ULL;
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, high >> 16 & 0xFFFF, high & 0xFFFF,
                     low >> 48, low & 0xFFFFFFFFFFFFULL);
}

Object& metadata_of(Object& object) {
  Value& metadata = object["metadata"];
  if (!metadata.is_object()) {
    metadata.emplace_object();
  }
  return metadata.get_object();
}

Answer<> check_place(const Request& request, Object& object) {
  Object& metadata = metadata_of(object);
  const std::string_view given = kube::find_string(metadata, "namespace");
  const std::string& expected = request.path.key.name_space;
  if (!given.empty() && given != expected) {
    return std::unexpected(
        bad_request("the namespace of the provided object does not match the namespace sent on the request"));
  }
  if (expected.empty()) {
    metadata.erase("namespace");
  } else {
    metadata["namespace"] = expected;
  }
  return {};
}

// The part whose changes generation counts.
Value specification_of(const Kind& kind, const Object& object) {
  if (!kind.custom) {
    const Value* spec = object.if_contains("spec");
    return spec ? *spec : Value();
  }
  Object copy = object;
  copy.erase("metadata");
  copy.erase("status");
  return Value(std::move(copy));
}

void keep_system_metadata(const Object& live, Object& object) {
  Object& metadata = metadata_of(object);
  const Object* old = kube::find_object(live, "metadata");
  for (const std::string_view key :
       {"name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
        "generation", "resourceVersion", "generateName", "selfLink"}) {
    if (const Value* value = old ? old->if_contains(key) : nullptr) {
      metadata[key] = *value;
    } else {
      metadata.erase(key);
    }
  }
}

// Clients that echo the object echo managedFields too; [] and [{}] are the way to reset them.
void keep_managers(const Object& live, Object& object) {
  Object& metadata = metadata_of(object);
  const Value* given = metadata.if_contains("managedFields");
  const bool given_list = given && given->is_array();
  if (!given_list) {
    const Value* old = kube::find(live, "metadata.managedFields");
    old ? void(metadata["managedFields"] = *old) : void(metadata.erase("managedFields"));
  } else if (read_managers(object).empty()) {
    metadata.erase("managedFields");
  }
}

void drop_empty_maps(Object& object) {
  Object& metadata = metadata_of(object);
  for (const std::string_view key :
       {"labels", "annotations", "finalizers", "ownerReferences", "managedFields"}) {
    const Value* value = metadata.if_contains(key);
    const bool empty = value && (value->is_null() || (value->is_object() && value->get_object().empty()) ||
                                 (value->is_array() && value->get_array().empty()));
    if (empty) {
      metadata.erase(key);
    }
  }
}

void take_member(const Object& from, std::string_view key, Object& into) {
  if (const Value* value = from.if_contains(key)) {
    into[key] = *value;
  } else {
    into.erase(key);
  }
}

Answer<> check_rules(const Kind& kind, const Object& object, const Object* before) {
  std::vector<Cause> causes = missing_fields(kind, object);
  if (causes.empty()) {
    causes = validate(kind, object, before);
  }
  if (!causes.empty()) {
    return std::unexpected(invalid_object(kind.resource, kube::name_of(object), causes));
  }
  return {};
}

// A pod that names an account gets its secrets, so the account must exist. Every namespace gets "default"
// soon.
Answer<> check_account(const Service& service, const Kind& kind, const Object& object) {
  const std::string account(kube::find_string(object, "spec.serviceAccountName"));
  if (kind.resource != kube::kPods || account.empty() || account == "default") {
    return {};
  }
  const std::string place(kube::namespace_of(object));
  if (!service.registry.head(kind_of(kube::kServiceAccounts), {place, account})) {
    return std::unexpected(
        forbidden(kind.resource, kube::name_of(object),
                  fmt::format("error looking up service account {}/{}: serviceaccount {} not found", place,
                              account, go_quoted(account))));
  }
  return {};
}

}  // namespace

std::string random_suffix() {
  static constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string text;
  for (int i = 0; i < 5; ++i) {
    text += kAlphabet[random_bits()() % kAlphabet.size()];
  }
  return text;
}

Writer writer_of(const Service& service, const Request& request) {
  return {request.manager, request.path.subresource, service.now()};
}

Answer<> check_namespace(const Service& service, const Request& request) {
  const std::string& name = request.path.key.name_space;
  if (!request.resource().namespaced) {
    return {};
  }
  const ObjectPtr found = service.registry.head(kind_of(kube::kNamespaces), {"", name});
  if (!found) {
    return std::unexpected(object_not_found(kube::kNamespaces, name));
  }
  if (kube::is_being_deleted(*found)) {
    Failure failure = forbidden(
        request.resource(), request.path.key.name,
        fmt::format("unable to create new content in namespace {} because it is being terminated", name));
    Object cause{{"reason", "NamespaceTerminating"},
                 {"message", fmt::format("namespace {} is being terminated", name)},
                 {"field", "metadata.namespace"}};
    failure.details["causes"] = Array{Value(std::move(cause))};
    return std::unexpected(std::move(failure));
  }
  return {};
}

Answer<Object> prepare_create(const Service& service, const Request& request, Object object, bool applied) {
  const Kind& kind = request.kind();
  LLMD_TRY_VOID(check_place(request, object));
  Object& metadata = metadata_of(object);
  if (!kube::find_string(metadata, "resourceVersion").empty()) {
    return std::unexpected(
        Failure{500, "", "resourceVersion should not be set on objects to be created", {}});
  }
  for (const std::string_view key : {"uid", "resourceVersion", "creationTimestamp", "deletionTimestamp",
                                     "deletionGracePeriodSeconds", "generation", "selfLink"}) {
    metadata.erase(key);
  }
  if (!applied) {
    metadata.erase("managedFields");
  }
  if (kind.has_status) {
    object.erase("status");
  }
  const std::string prefix(kube::find_string(metadata, "generateName"));
  if (kube::name_of(object).empty() && !prefix.empty()) {
    metadata["name"] = prefix.substr(0, 58) + random_suffix();
  }
  apply_defaults(kind, object);
  LLMD_TRY_VOID(check_rules(kind, object, nullptr));
  LLMD_TRY_VOID(check_account(service, kind, object));
  drop_empty_maps(object);
  metadata["uid"] = new_uid();
  metadata["creationTimestamp"] = service.now();
  if (kind.has_generation) {
    metadata["generation"] = 1;
  }
  if (!applied) {
    record_update(kind, Object(), object, writer_of(service, request));
  }
  apply_creation_defaults(kind, object);
  return object;
}

Answer<Object> prepare_update(const Service& service, const Request& request, const Object& live,
                              Object proposed, bool applied) {
  const Kind& kind = request.kind();
  const std::string uid(kube::uid_of(proposed));
  if (!uid.empty() && uid != kube::uid_of(live)) {
    return std::unexpected(
        conflict_on(kind.resource, kube::name_of(live),
                    fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}", uid,
                                kube::uid_of(live))));
  }
  const std::string version(kube::resource_version_of(proposed));
  if (!version.empty() && version != "0" && version != kube::resource_version_of(live)) {
    return std::unexpected(conflict_on(kind.resource, kube::name_of(live)));
  }
  Object object;
  if (request.path.subresource == "status") {
    object = live;
    take_member(proposed, "status", object);
    if (applied || request.method == "PATCH") {
      take_member(metadata_of(proposed), "managedFields", metadata_of(object));
    }
  } else {
    object = std::move(proposed);
    if (kind.has_status) {
      take_member(live, "status", object);
    }
  }
  keep_system_metadata(live, object);
  keep_managers(live, object);
  if (request.path.subresource != "status") {
    apply_defaults(kind, object);
    LLMD_TRY_VOID(check_rules(kind, object, &live));
    if (kind.has_generation && specification_of(kind, object) != specification_of(kind, live)) {
      metadata_of(object)["generation"] = kube::generation_of(live) + 1;
    }
  }
  drop_empty_maps(object);
  if (!applied) {
    record_update(kind, live, object, writer_of(service, request));
  }
  return object;
}

bool same_object(const Object& before, const Object& after) {
  const auto stripped = [](const Object& object) {
    Object copy = object;
    Object& metadata = metadata_of(copy);
    metadata.erase("resourceVersion");
    if (Value* managers = metadata.if_contains("managedFields"); managers && managers->is_array()) {
      for (Value& manager : managers->get_array()) {
        if (manager.is_object()) {
          manager.get_object().erase("time");
        }
      }
    }
    return copy;
  };
  return stripped(before) == stripped(after);
}

bool may_go(const Kind& kind, const Object& object) {
  if (!kube::is_being_deleted(object)) {
    return false;
  }
  const Array* finalizers = kube::find_array(object, "metadata.finalizers");
  if (finalizers && !finalizers->empty()) {
    return false;
  }
  if (kind.resource == kube::kNamespaces) {
    const Array* content = kube::find_array(object, "spec.finalizers");
    return !content || content->empty();
  }
  return kube::find_int(object, "metadata.deletionGracePeriodSeconds", 0) == 0;
}

Task<Answer<Reply>> store(Service& service, const Request& request, kube::ObjectKey key, Object object,
                          int code) {
  if (request.dry_run) {
    const ObjectPtr live = service.registry.head(request.kind(), key);
    if (!live) {
      metadata_of(object).erase("resourceVersion");
    }
    auto body = shaped(service, request, object);
    if (!body) {
      co_return std::unexpected(std::move(body.error()));
    }
    co_return Reply{code, std::move(*body)};
  }
  std::optional<Object> content;
  if (!may_go(request.kind(), object)) {
    content = object;
  }
  const bool removed = !content;
  auto stored = co_await service.registry.write(request.kind(), std::move(key), std::move(content));
  if (!stored) {
    co_return std::unexpected(internal_failure(stored.error()));
  }
  auto body = shaped(service, request, removed ? object : **stored);
  if (!body) {
    co_return std::unexpected(std::move(body.error()));
  }
  co_return Reply{code, std::move(*body)};
}

Task<Answer<Reply>> store_update(Service& service, const Request& request, ObjectPtr live, Object proposed,
                                 bool applied) {
  auto object = prepare_update(service, request, *live, std::move(proposed), applied);
  if (!object) {
    co_return std::unexpected(std::move(object.error()));
  }
  if (same_object(*live, *object) && !may_go(request.kind(), *object)) {
    auto body = shaped(service, request, *live);
    if (!body) {
      co_return std::unexpected(std::move(body.error()));
    }
    co_return Reply{200, std::move(*body)};
  }
  co_return co_await store(service, request, kube::key_of(*live), std::move(*object), 200);
}

}  // namespace llmd::apiserver
