// One HTTP request on its way through the server: who it is, what was answered, and the ways to answer.
#pragma once

#include <string>
#include <string_view>

#include "engine/server/api_error.h"
#include "engine/server/context.h"
#include "http/server.h"

namespace llmd::engine {

class Call {
 public:
  Call(Context& context, http::Exchange& exchange);

  Context& context() { return context_; }
  http::Exchange& exchange() { return exchange_; }
  const std::string& request_id() const { return request_id_; }  // the client's, or random
  bool client_chose_id() const { return client_chose_id_; }
  TimePoint arrival() const { return arrival_; }
  int status() const { return status_; }
  // The path of the route that answers; a literal.
  std::string_view route() const { return route_; }
  void set_route(std::string_view route) { route_ = route; }

  // The whole body, or an answer was already given and false.
  Task<Result<std::string>> read_body();
  Task<void> json(std::string body, int status = 200);
  Task<void> text(int status, std::string_view content_type, std::string body);
  Task<void> error(ApiError error);
  // The head of an event stream, with its first events.
  Task<Result<void>> start_stream(std::string_view first);

 private:
  http::ResponseHead head(int status, std::string_view content_type);

  Context& context_;
  http::Exchange& exchange_;
  const TimePoint arrival_;
  std::string request_id_;
  bool client_chose_id_ = false;
  int status_ = 0;
  std::string_view route_ = "none";
};

}  // namespace llmd::engine
