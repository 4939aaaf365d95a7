// POST, PUT and PATCH.
#include "apiserver/decode.h"
#include "apiserver/mutate.h"
#include "json/patch.h"
#include "json/value.h"
#include "kube/strategic_merge.h"

namespace llmd::apiserver {

namespace {

using json::Object;
using json::Value;

constexpr int kNameTries = 8;

Answer<> check_name(const Request& request, const Object& object) {
  const std::string_view name = kube::name_of(object);
  if (name != request.path.key.name) {
    return std::unexpected(bad_request(fmt::format(
        "the name of the object ({}) does not match the name on the URL ({})", name, request.path.key.name)));
  }
  const std::string_view place = kube::namespace_of(object);
  if (!place.empty() && place != request.path.key.name_space) {
    return std::unexpected(
        bad_request("the namespace of the provided object does not match the namespace sent on the request"));
  }
  return {};
}

Answer<Object> read_object(Request& request) {
  LLMD_TRY(auto body, read_body(request));
  return decode_object(request, std::move(body));
}

Task<Answer<Reply>> create(Service& service, Request& request) {
  auto decoded = read_object(request);
  if (!decoded) {
    co_return std::unexpected(std::move(decoded.error()));
  }
  if (auto place = check_namespace(service, request); !place) {
    co_return std::unexpected(std::move(place.error()));
  }
  const bool generated = kube::name_of(*decoded).empty();
  for (int tries = 0; tries < kNameTries; ++tries) {
    auto object = prepare_create(service, request, *decoded, false);
    if (!object) {
      co_return std::unexpected(std::move(object.error()));
    }
    const kube::ObjectKey key = kube::key_of(*object);
    if (!service.registry.head(request.kind(), key)) {
      co_return co_await store(service, request, key, std::move(*object), 201);
    }
    if (!generated) {
      co_return std::unexpected(object_exists(request.resource(), key.name));
    }
  }
  co_return std::unexpected(
      object_exists(request.resource(), kube::find_string(*decoded, "metadata.generateName")));
}

Task<Answer<Reply>> update(Service& service, Request& request) {
  auto decoded = read_object(request);
  if (!decoded) {
    co_return std::unexpected(std::move(decoded.error()));
  }
  if (auto name = check_name(request, *decoded); !name) {
    co_return std::unexpected(std::move(name.error()));
  }
  const ObjectPtr live = service.registry.head(request.kind(), request.path.key);
  if (!live) {
    co_return std::unexpected(object_not_found(request.resource(), request.path.key.name));
  }
  const bool whole = request.path.subresource.empty();
  if (request.kind().custom && whole && kube::resource_version_of(*decoded).empty()) {
    const Cause cause = invalid_value("metadata.resourceVersion", "0x0", "must be specified for an update");
    co_return std::unexpected(invalid_object(request.resource(), request.path.key.name, {cause}));
  }
  if (request.path.subresource == "finalize") {
    // Only the list of finalizers counts here.
    Object kept = *live;
    const Value* finalizers = kube::find(*decoded, "spec.finalizers");
    kube::at(kept, "spec.finalizers") = finalizers ? *finalizers : Value(json::Array());
    co_return co_await store_update(service, request, live, std::move(kept), false);
  }
  co_return co_await store_update(service, request, live, std::move(*decoded), false);
}

// ---- patches
// ---------------------------------------------------------------------------------------------------------

Answer<Value> patched(const Request& request, const Object& live, const Value& patch) {
  const Value target(live);
  if (request.content_type == "application/merge-patch+json") {
    Value result = target;
    json::apply_merge_patch(result, patch);
    return result;
  }
  if (request.content_type == "application/json-patch+json") {
    auto result = json::apply_json_patch(target, patch);
    if (!result) {
      return std::unexpected(
          Failure{422, "Invalid", "the server rejected our request due to an error in our request", {}});
    }
    return std::move(*result);
  }
  auto result = kube::strategic_merge(target, patch, request.kind().schema);
  if (!result) {
    return std::unexpected(bad_request(result.error().message));
  }
  return std::move(*result);
}

Answer<> check_patch_type(const Request& request) {
  const std::string& type = request.content_type;
  const bool strategic = type == "application/strategic-merge-patch+json";
  if (type == "application/merge-patch+json" || type == "application/json-patch+json" ||
      type == "application/apply-patch+yaml" || (strategic && !request.kind().custom)) {
    return {};
  }
  return std::unexpected(unsupported_media_type(
      request.kind().custom
          ? "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
          : "application/json-patch+json, application/merge-patch+json, "
            "application/strategic-merge-patch+json, "
            "application/apply-patch+yaml"));
}

Task<Answer<Reply>> apply(Service& service, Request& request) {
  if (request.query.find("fieldManager").empty()) {
    co_return std::unexpected(
        invalid_option("PatchOptions", required_value("fieldManager", "is required for apply patch")));
  }
  auto body = read_body(request);
  if (!body) {
    co_return std::unexpected(std::move(body.error()));
  }
  if (!body->is_object() || kube::kind_of(body->get_object()).empty() ||
      kube::api_version_of(body->get_object()).empty()) {
    co_return std::unexpected(bad_request("invalid object type: /, Kind="));
  }
  if (kube::find(body->get_object(), "metadata.managedFields")) {
    co_return std::unexpected(bad_request("metadata.managedFields must be nil"));
  }
  auto applied = decode_object(request, std::move(*body));
  if (!applied) {
    co_return std::unexpected(std::move(applied.error()));
  }
  if (kube::name_of(*applied).empty()) {
    (*applied)["metadata"].get_object()["name"] = request.path.key.name;
  }
  if (auto name = check_name(request, *applied); !name) {
    co_return std::unexpected(std::move(name.error()));
  }
  const ObjectPtr live = service.registry.head(request.kind(), request.path.key);
  if (!live && !request.path.subresource.empty()) {
    co_return std::unexpected(object_not_found(request.resource(), request.path.key.name));
  }
  const std::string_view version = kube::resource_version_of(*applied);
  if (!version.empty() && (!live || version != kube::resource_version_of(*live))) {
    co_return std::unexpected(conflict_on(request.resource(), request.path.key.name));
  }
  // Each endpoint owns its half of the object.
  if (request.path.subresource == "status") {
    applied->erase("spec");
  } else if (request.kind().has_status) {
    applied->erase("status");
  }
  const bool force = request.query.flag("force");
  auto merged = apply_patch(request.kind(), live.get(), *applied, writer_of(service, request), force);
  if (!merged) {
    co_return std::unexpected(std::move(merged.error()));
  }
  if (live) {
    co_return co_await store_update(service, request, live, std::move(*merged), true);
  }
  if (auto place = check_namespace(service, request); !place) {
    co_return std::unexpected(std::move(place.error()));
  }
  auto object = prepare_create(service, request, std::move(*merged), true);
  if (!object) {
    co_return std::unexpected(std::move(object.error()));
  }
  co_return co_await store(service, request, request.path.key, std::move(*object), 201);
}

Task<Answer<Reply>> patch(Service& service, Request& request) {
  if (auto type = check_patch_type(request); !type) {
    co_return std::unexpected(std::move(type.error()));
  }
  if (request.content_type == "application/apply-patch+yaml") {
    co_return co_await apply(service, request);
  }
  if (request.query.has("force")) {
    const Cause cause = forbidden_value("force", "may not be specified for non-apply patch");
    co_return std::unexpected(invalid_option("PatchOptions", cause));
  }
  auto body = read_body(request);
  if (!body) {
    co_return std::unexpected(std::move(body.error()));
  }
  const ObjectPtr live = service.registry.head(request.kind(), request.path.key);
  if (!live) {
    co_return std::unexpected(object_not_found(request.resource(), request.path.key.name));
  }
  auto result = patched(request, *live, *body);
  if (!result) {
    co_return std::unexpected(std::move(result.error()));
  }
  auto object = decode_object(request, std::move(*result));
  if (!object) {
    co_return std::unexpected(std::move(object.error()));
  }
  if (auto name = check_name(request, *object); !name) {
    co_return std::unexpected(std::move(name.error()));
  }
  co_return co_await store_update(service, request, live, std::move(*object), false);
}

}  // namespace

Task<void> handle_create(Service& service, http::Exchange& exchange, Request& request) {
  Answer<Reply> reply = co_await create(service, request);
  co_await send(exchange, request, std::move(reply));
}

Task<void> handle_update(Service& service, http::Exchange& exchange, Request& request) {
  Answer<Reply> reply = co_await update(service, request);
  co_await send(exchange, request, std::move(reply));
}

Task<void> handle_patch(Service& service, http::Exchange& exchange, Request& request) {
  Answer<Reply> reply = co_await patch(service, request);
  co_await send(exchange, request, std::move(reply));
}

}  // namespace llmd::apiserver
