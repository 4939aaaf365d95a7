// scale, binding: other views of an object.
#include "apiserver/decode.h"
#include "apiserver/mutate.h"
#include "json/patch.h"
#include "json/value.h"
#include "kube/selector.h"

namespace llmd::apiserver {

namespace {

using json::Object;
using json::Value;

Object scale_of(const Object& object) {
  Object scale{{"kind", "Scale"}, {"apiVersion", "autoscaling/v1"}};
  Object& metadata = scale["metadata"].emplace_object();
  for (const std::string_view key : {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"}) {
    if (const Value* value = kube::find(object, fmt::format("metadata.{}", key))) {
      metadata[key] = *value;
    }
  }
  scale["spec"].emplace_object()["replicas"] = kube::find_int(object, "spec.replicas", 1);
  Object& status = scale["status"].emplace_object();
  status["replicas"] = kube::find_int(object, "status.replicas", 0);
  if (const Object* selector = kube::find_object(object, "spec.selector")) {
    status["selector"] = kube::selector_text(*selector);
  }
  return scale;
}

// The scale the client wants: a whole one (PUT), or the old one with a patch on it.
Answer<Object> wanted_scale(const Request& request, const Object& live) {
  LLMD_TRY(auto body, read_body(request));
  Value scale = request.method == "PUT" ? body : Value(scale_of(live));
  if (request.content_type == "application/json-patch+json") {
    auto patched = json::apply_json_patch(scale, body);
    if (!patched) {
      return std::unexpected(
          Failure{422, "Invalid", "the server rejected our request due to an error in our request", {}});
    }
    scale = std::move(*patched);
  } else if (request.method == "PATCH") {
    json::apply_merge_patch(scale, body);
  }
  if (!scale.is_object()) {
    return std::unexpected(bad_request("Scale: expected an object"));
  }
  return std::move(scale.get_object());
}

Task<Answer<Reply>> change_scale(Service& service, Request& request, ObjectPtr live) {
  const auto scale = wanted_scale(request, *live);
  if (!scale) {
    co_return std::unexpected(scale.error());
  }
  const std::int64_t replicas = kube::find_int(*scale, "spec.replicas", 0);
  if (replicas < 0) {
    const kube::Resource scales{"autoscaling", "v1", "scales", "Scale"};
    const Cause cause =
        invalid_value("spec.replicas", std::to_string(replicas), "must be greater than or equal to 0");
    co_return std::unexpected(invalid_object(scales, request.path.key.name, {cause}));
  }
  const std::string_view version = kube::resource_version_of(*scale);
  if (!version.empty() && version != kube::resource_version_of(*live)) {
    co_return std::unexpected(conflict_on(request.resource(), request.path.key.name));
  }
  Object changed = *live;
  kube::at(changed, "spec.replicas") = replicas;
  const Answer<Reply> stored = co_await store_update(service, request, live, std::move(changed), false);
  if (!stored) {
    co_return std::unexpected(stored.error());
  }
  const ObjectPtr now = service.registry.find(request.kind(), request.path.key);
  co_return Reply{200, scale_of(now ? *now : *live)};
}

}  // namespace

Task<void> handle_scale(Service& service, http::Exchange& exchange, Request& request) {
  const ObjectPtr live = service.registry.head(request.kind(), request.path.key);
  if (!live) {
    co_await send_failure(exchange, object_not_found(request.resource(), request.path.key.name));
    co_return;
  }
  Answer<Reply> reply = Reply{200, scale_of(*live)};
  if (request.method != "GET") {
    request.accept = "application/json";
    reply = co_await change_scale(service, request, live);
  }
  co_await send(exchange, request, std::move(reply));
}

// POST pods/x/binding: what schedulers say. The only way to set spec.nodeName of a pod that exists.
Task<void> handle_binding(Service& service, http::Exchange& exchange, Request& request) {
  const ObjectPtr live = service.registry.head(request.kind(), request.path.key);
  const auto body = read_body(request);
  if (!live || !body || !body->is_object()) {
    co_await send_failure(exchange, !live  ? object_not_found(request.resource(), request.path.key.name)
                                    : body ? bad_request("Binding: expected an object")
                                           : body.error());
    co_return;
  }
  const std::string_view bound = kube::find_string(*live, "spec.nodeName");
  if (!bound.empty()) {
    kube::Resource resource = request.resource();
    resource.plural = "pods/binding";
    co_await send_failure(exchange, conflict_on(resource, request.path.key.name,
                                                fmt::format("pod {} is already assigned to node {}",
                                                            request.path.key.name, go_quoted(bound))));
    co_return;
  }
  Object pod = *live;
  const std::string_view node = kube::find_string(body->get_object(), "target.name");
  kube::at(pod, "spec.nodeName") = node;
  kube::set_condition(pod, "PodScheduled", "True", "", "", service.now());
  record_update(request.kind(), *live, pod, writer_of(service, request));
  Answer<Reply> reply = co_await store(service, request, request.path.key, std::move(pod), 201);
  if (reply) {
    reply = created_status();
  }
  co_await send(exchange, request, std::move(reply));
}

}  // namespace llmd::apiserver
