// What the handlers of all requests share, and how they answer.
#pragma once

#include <boost/json/value.hpp>

#include <memory>
#include <string>

#include "apiserver/failure.h"
#include "apiserver/registry.h"
#include "apiserver/request.h"
#include "base/clock.h"
#include "http/server.h"

namespace llmd::apiserver {

struct Service {
  async::EventLoop& loop;
  Registry& registry;
  const Clock& clock;
  std::string node_name;  // for pods that name none, see docs; unused when empty

  std::string now() const { return to_rfc3339(clock.wall_now()); }
};

// How the client wants objects.
enum class Form { Object, Table, Partial, Yaml };
Answer<Form> negotiate(std::string_view accept);

struct Reply {
  int code = 200;
  boost::json::value body;
};

// Sends the reply in the form that was asked for; a failure becomes a Status.
Task<void> send(http::Exchange& exchange, const Request& request, Answer<Reply> reply);
Task<void> send_failure(http::Exchange& exchange, const Failure& failure);

// A stored object in the form the client asked for.
Answer<boost::json::value> shaped(const Service& service, const Request& request, const kube::Object& object);

// {"status": "Success"} with the details of what was done.
boost::json::object success_status(const Kind& kind, std::string_view name, std::string_view uid);
// The same for what was done by creating something that is kept nowhere: a binding, an eviction.
Reply created_status();

// ---- handlers, one per verb
// --------------------------------------------------------------------------------------------
Task<void> handle_get(Service& service, http::Exchange& exchange, Request& request);
Task<void> handle_list(Service& service, http::Exchange& exchange, Request& request);
Task<void> handle_watch(Service& service, http::Exchange& exchange, Request& request);
Task<void> handle_create(Service& service, http::Exchange& exchange, Request& request);
Task<void> handle_update(Service& service, http::Exchange& exchange, Request& request);
Task<void> handle_patch(Service& service, http::Exchange& exchange, Request& request);
Task<void> handle_delete(Service& service, http::Exchange& exchange, Request& request);
Task<void> handle_delete_collection(Service& service, http::Exchange& exchange, Request& request);
Task<void> handle_log(Service& service, http::Exchange& exchange, Request& request);
Task<void> handle_binding(Service& service, http::Exchange& exchange, Request& request);
Task<void> handle_eviction(Service& service, http::Exchange& exchange, Request& request);
Task<void> handle_scale(Service& service, http::Exchange& exchange, Request& request);

}  // namespace llmd::apiserver
