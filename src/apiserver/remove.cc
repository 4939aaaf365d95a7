// DELETE of one object and of collections: preconditions, propagation, finalizers, and the grace that pods
// get.
#include <boost/json/array.hpp>

#include <algorithm>
#include <charconv>

#include "apiserver/decode.h"
#include "apiserver/mutate.h"
#include "apiserver/selection.h"
#include "json/value.h"

namespace llmd::apiserver {

namespace {

using json::Array;
using json::Object;
using json::Value;

constexpr std::string_view kForeground = "foregroundDeletion";
constexpr std::string_view kOrphan = "orphan";

struct Options {
  std::string propagation = "Background";
  std::optional<std::int64_t> grace_seconds;
  std::string uid;
  std::string version;
};

// The options stand in the body or in the query.
Answer<Options> read_delete_options(Request& request) {
  Options options;
  Object body;
  if (!request.body.empty()) {
    LLMD_TRY(auto value, read_body(request));
    if (!value.is_object()) {
      return std::unexpected(bad_request("DeleteOptions: expected an object"));
    }
    body = std::move(value.get_object());
  }
  std::string policy(kube::find_string(body, "propagationPolicy"));
  if (policy.empty()) {
    policy = request.query.find("propagationPolicy");
  }
  if (!policy.empty() && policy != "Background" && policy != "Foreground" && policy != "Orphan") {
    return std::unexpected(invalid_option(
        "DeleteOptions",
        unsupported_value("propagationPolicy", policy, {"Background", "Foreground", "Orphan", "nil"})));
  }
  options.propagation = policy.empty() ? "Background" : policy;
  if (body.contains("gracePeriodSeconds")) {
    options.grace_seconds = kube::find_int(body, "gracePeriodSeconds", 30);
  } else if (const std::string_view text = request.query.find("gracePeriodSeconds"); !text.empty()) {
    std::int64_t seconds = 0;
    std::from_chars(text.data(), text.data() + text.size(), seconds);
    options.grace_seconds = seconds;
  }
  options.uid = kube::find_string(body, "preconditions.uid");
  options.version = kube::find_string(body, "preconditions.resourceVersion");
  if (const Array* dry = kube::find_array(body, "dryRun"); dry && !dry->empty()) {
    request.dry_run = true;
  }
  return options;
}

Answer<> check_preconditions(const Kind& kind, const Object& live, const Options& options) {
  const auto refuse = [&](std::string_view what, std::string_view wanted, std::string_view found) {
    Failure failure = conflict_on(kind.resource, kube::name_of(live),
                                  fmt::format("the {} in the precondition ({}) does not match the {} in "
                                              "record ({}). The object might have been deleted "
                                              "and then recreated",
                                              what, wanted, what, found));
    failure.message.replace(failure.message.find(kind.resource.plural), kind.resource.plural.size(),
                            kind.resource.kind);
    failure.details["kind"] = kind.resource.kind;
    return std::unexpected(std::move(failure));
  };
  if (!options.uid.empty() && options.uid != kube::uid_of(live)) {
    return refuse("UID", options.uid, kube::uid_of(live));
  }
  if (!options.version.empty() && options.version != kube::resource_version_of(live)) {
    return refuse("ResourceVersion", options.version, kube::resource_version_of(live));
  }
  return {};
}

// Only scheduled pods that still run have something to finish.
std::int64_t grace_of(const Kind& kind, const Object& live, const Options& options) {
  if (kind.resource != kube::kPods) {
    return 0;
  }
  const std::string_view phase = kube::find_string(live, "status.phase");
  if (kube::find_string(live, "spec.nodeName").empty() || phase == "Succeeded" || phase == "Failed") {
    return 0;
  }
  const std::int64_t wanted =
      options.grace_seconds.value_or(kube::find_int(live, "spec.terminationGracePeriodSeconds", 30));
  return std::max<std::int64_t>(0, wanted);
}

void add_finalizer(Object& object, std::string_view name) {
  Value& list = kube::at(object, "metadata.finalizers");
  if (!list.is_array()) {
    list.emplace_array();
  }
  const Value item(boost::json::string_view(name.data(), name.size()));
  if (std::ranges::find(list.get_array(), item) == list.get_array().end()) {
    list.get_array().push_back(item);
  }
}

// The object marked as going. A second request may only make it go sooner.
Object marked(const Service& service, const Kind& kind, const Object& live, const Options& options) {
  Object object = live;
  Object& metadata = object["metadata"].get_object();
  std::int64_t grace = grace_of(kind, live, options);
  const bool first = !kube::is_being_deleted(live);
  if (!first) {
    grace = std::min(grace, kube::find_int(live, "metadata.deletionGracePeriodSeconds", 0));
  }
  if (first || grace < kube::find_int(live, "metadata.deletionGracePeriodSeconds", 0)) {
    metadata["deletionTimestamp"] = to_rfc3339(service.clock.wall_now() + std::chrono::seconds(grace));
    metadata["deletionGracePeriodSeconds"] = grace;
  }
  if (first && kind.has_generation) {
    metadata["generation"] = kube::generation_of(live) + 1;
  }
  if (first && options.propagation == "Foreground") {
    add_finalizer(object, kForeground);
  } else if (first && options.propagation == "Orphan") {
    add_finalizer(object, kOrphan);
  }
  if (kind.resource == kube::kNamespaces) {
    kube::at(object, "status.phase") = "Terminating";
  }
  return object;
}

Answer<> check_allowed(const Kind& kind, const Object& live) {
  const std::string_view name = kube::name_of(live);
  if (kind.resource == kube::kNamespaces && (name == "default" || name == "kube-system")) {
    return std::unexpected(forbidden(kind.resource, name, "this namespace may not be deleted"));
  }
  return {};
}

Task<Answer<Reply>> remove_one(Service& service, const Request& request, ObjectPtr live,
                               const Options& options) {
  const Kind& kind = request.kind();
  if (auto allowed = check_allowed(kind, *live); !allowed) {
    co_return std::unexpected(std::move(allowed.error()));
  }
  if (auto fits = check_preconditions(kind, *live, options); !fits) {
    co_return std::unexpected(std::move(fits.error()));
  }
  Object object = marked(service, kind, *live, options);
  if (may_go(kind, object)) {
    const std::string uid(kube::uid_of(*live));
    const kube::ObjectKey key = kube::key_of(*live);
    if (!request.dry_run) {
      const auto removed = co_await service.registry.write(kind, key, std::nullopt);
      if (!removed) {
        co_return std::unexpected(internal_failure(removed.error()));
      }
    }
    // Pods come back as objects even when they are gone, as clients of the real server expect.
    if (kind.resource == kube::kPods) {
      co_return Reply{200, std::move(object)};
    }
    co_return Reply{200, success_status(kind, key.name, uid)};
  }
  if (same_object(*live, object)) {
    co_return Reply{200, Value(*live)};
  }
  co_return co_await store(service, request, kube::key_of(*live), std::move(object), 200);
}

Task<Answer<Reply>> remove(Service& service, Request& request) {
  const auto options = read_delete_options(request);
  if (!options) {
    co_return std::unexpected(options.error());
  }
  const ObjectPtr live = service.registry.head(request.kind(), request.path.key);
  if (!live) {
    co_return std::unexpected(object_not_found(request.resource(), request.path.key.name));
  }
  co_return co_await remove_one(service, request, live, *options);
}

Task<Answer<Reply>> remove_collection(Service& service, Request& request) {
  const auto options = read_delete_options(request);
  if (!options) {
    co_return std::unexpected(options.error());
  }
  const auto selection = read_selection(request);
  if (!selection) {
    co_return std::unexpected(selection.error());
  }
  std::vector<ObjectPtr> chosen;
  for (const auto& [key, object] : service.registry.objects(request.kind())) {
    if (selection->matches(*object)) {
      chosen.push_back(object);
    }
  }
  Array items;
  for (const ObjectPtr& listed : chosen) {
    const ObjectPtr live = service.registry.head(request.kind(), kube::key_of(*listed));
    if (!live) {
      continue;  // somebody else was faster
    }
    const auto removed = co_await remove_one(service, request, live, *options);
    if (!removed) {
      co_return std::unexpected(removed.error());
    }
    items.push_back(Value(*live));
  }
  Object list{{"kind", std::string(request.resource().kind) + "List"},
              {"apiVersion", request.resource().api_version()}};
  list["metadata"] = {{"resourceVersion", std::to_string(service.registry.version())}};
  list["items"] = std::move(items);
  co_return Reply{200, std::move(list)};
}

}  // namespace

Task<void> handle_delete(Service& service, http::Exchange& exchange, Request& request) {
  Answer<Reply> reply = co_await remove(service, request);
  co_await send(exchange, request, std::move(reply));
}

Task<void> handle_delete_collection(Service& service, http::Exchange& exchange, Request& request) {
  Answer<Reply> reply = co_await remove_collection(service, request);
  co_await send(exchange, request, std::move(reply));
}

// POST pods/x/eviction: a graceful delete in other words.
Task<void> handle_eviction(Service& service, http::Exchange& exchange, Request& request) {
  const ObjectPtr live = service.registry.head(request.kind(), request.path.key);
  if (!live) {
    co_await send_failure(exchange, object_not_found(request.resource(), request.path.key.name));
    co_return;
  }
  Answer<Reply> reply = co_await remove_one(service, request, live, Options());
  if (reply) {
    reply = created_status();
  }
  co_await send(exchange, request, std::move(reply));
}

}  // namespace llmd::apiserver
