// What the gateway asks of every request and notes about it: API key, limits, live list, access log, metrics.
// Shared by all loops; any thread.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "gateway/access_log.h"
#include "gateway/answer.h"
#include "gateway/api_keys.h"
#include "gateway/configuration.h"
#include "gateway/request_metrics.h"
#include "gateway/request_trace.h"
#include "json/value.h"
#include "proxy/relay.h"

namespace llmd::gateway {

// What is learned about a request on its way.
struct RequestNotes {
  std::string request_id;
  std::string route;
  std::string model;         // as the client wrote it; empty: none
  bool model_known = false;  // somebody serves it: its name may become a label
  std::string target_model;
  std::string owner;
  std::string via;
  std::string upstream;
  bool stream = false;
  std::size_t request_bytes = 0;
  int attempts = 0;
  std::string error;
};

class Visit;

class Traffic {
 public:
  // `tracer` may be null; outlives the requests and the pickers.
  explicit Traffic(GatewayConfiguration configuration, const trace::Tracer* tracer = nullptr);
  // Opens what the configuration names. Before the first request.
  Result<void> open();

  const GatewayConfiguration configuration;
  const ApiKeys keys;
  RequestMetrics metrics;
  const trace::Tracer* const tracer;

  bool trusts_listener(const net::Address& listener) const;
  // Running requests, the oldest first: [{requestId, client, method, path, model, upstream, seconds}].
  json::Array live() const;

 private:
  friend class Visit;
  std::unique_ptr<AccessLog> log_;
  mutable std::mutex mutex_;
  std::list<const Visit*> visits_;
};

// One request from its head to its end, whatever the end is.
class Visit {
 public:
  Visit(Traffic& traffic, http::Exchange& arrived);
  Visit(const Visit&) = delete;
  ~Visit();

  Answer& answer() { return answer_; }
  RequestNotes& notes() { return notes_; }
  RequestTrace& trace() { return trace_; }
  // Who asks, and whether within the limits. The refusal has been answered then.
  Task<bool> admit();
  const ApiKey* key() const { return key_; }
  bool trusted(bool listener_trusted) const {
    return listener_trusted || (key_ != nullptr && key_->trusted());
  }
  // The model is known now. Nullopt: the key may use it.
  std::optional<openai::ApiError> use_model(std::string_view model, bool stream, std::size_t request_bytes);
  // The headers as an engine may see them: no control headers from outside, no key, our request id and trace.
  void clean(http::Headers& headers, bool listener_trusted) const;
  Task<void> refuse(const openai::ApiError& error, std::string_view reason);
  void set_upstream(std::string upstream);
  void note_outcome(const proxy::RelayOutcome& outcome);

 private:
  friend class Traffic;
  void end_trace(int status, const picker::Usage& usage);

  Traffic& traffic_;
  RequestNotes notes_;
  net::Address client_;
  Answer answer_;
  RequestTrace trace_;
  const ApiKey* key_ = nullptr;
  RateLimits::Use use_;
  std::string counted_as_;  // label of the running gauge; empty: not counted
  std::list<const Visit*>::iterator place_;
};

}  // namespace llmd::gateway
