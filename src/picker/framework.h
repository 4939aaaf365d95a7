// The interfaces of plugins. A plugin object may have several roles; it is made once per picker and used by
// many threads at the same time, so every call is const and state of its own stands behind a lock or in
// atomics. Only producers, hooks and policies of flow control may have state: what decides (filters, scorers,
// pickers, handlers, deciders) depends on the cycle alone and can be played again.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "async/deadline.h"
#include "base/result.h"
#include "json/value.h"
#include "picker/cycle.h"
#include "picker/decision.h"

namespace llmd::picker {

class Page;

class Plugin {
 public:
  virtual ~Plugin() = default;
  std::string name;  // set by the loader; unique within a configuration
  std::string type;
};

// Removes rows that must not serve the request. Order is kept.
class Filter : virtual public Plugin {
 public:
  virtual void filter(Cycle& cycle, std::vector<Row>& rows) const = 0;
};

// Writes one score per row, from 0 (worst) to 1; what lies outside is clamped.
class Scorer : virtual public Plugin {
 public:
  virtual void score(const Cycle& cycle, std::span<const Row> rows, std::span<double> scores) const = 0;
};

// Appends the chosen rows, the best first. `totals` are the weighted sums of the scores.
class EndpointPicker : virtual public Plugin {
 public:
  virtual void pick(Cycle& cycle, std::span<const Row> rows, std::span<const double> totals,
                    std::vector<Row>& picks) const = 0;
};

// Says whether another stage is worth its cost. `decode`: the endpoint chosen so far, if any.
class Decider : virtual public Plugin {
 public:
  virtual bool wants_stage(const Cycle& cycle, std::optional<Row> decode) const = 0;
};

// What a profile handler chose. Rows are picks of profiles.
struct Stages {
  std::vector<Row> primary;  // the chosen endpoint and its fallbacks
  std::optional<Row> prefill;
  std::vector<Row> encode;
  std::size_t primary_profile = 0;
  int primary_port = -1;  // data parallelism: the port that serves all ranks; -1: the endpoint's own

  // What metrics and traces call it.
  std::string_view kind() const {
    return prefill ? (encode.empty() ? "prefill-decode" : "encode-prefill-decode")
                   : (encode.empty() ? "decode-only" : "encode-decode");
  }

  void clear() {
    primary.clear();
    prefill.reset();
    encode.clear();
    primary_profile = 0;
    primary_port = -1;
  }
};

// Runs profiles for a handler.
class ProfileRunner {
 public:
  virtual ~ProfileRunner() = default;
  virtual Cycle& cycle() = 0;
  // The picks of the profile; empty when its filters left nobody.
  virtual std::span<const Row> run(std::size_t profile) = 0;
};

// Decides which profiles run and what their picks mean.
class ProfileHandler : virtual public Plugin {
 public:
  // Once, when the profiles are known.
  virtual Result<void> bind(std::span<const std::string> profile_names) = 0;
  // Leaves stages.primary empty when nobody can serve; the message says what was missing.
  virtual Result<void> choose(ProfileRunner& runner, Stages& stages) const = 0;
  // Whether it may choose several stages; such decisions are counted by kind.
  virtual bool is_disaggregating() const { return false; }
};

// Holds requests back for a moment, so that those that arrive together are decided together.
class Holder : virtual public Plugin {
 public:
  // The endpoints that the request may go to at this time; asked only by those that need them.
  using Candidates = std::function<std::vector<EndpointPtr>()>;
  // Waits. The full name of the endpoint that the request should go to, which becomes
  // Request::agreed_endpoint; empty: any. What `request` views, and `candidates`, live until the task ends;
  // cancelling it takes the request out.
  virtual Task<std::string> hold(const Request& request, const Candidates& candidates,
                                 async::Deadline deadline) const = 0;
};

// Computes columns and scalars before the profiles run.
class Producer : virtual public Plugin {
 public:
  virtual void produce(Cycle& cycle) const = 0;
};

// Narrows the candidates before producers run. Leaving none is a 503.
class Screener : virtual public Plugin {
 public:
  virtual void screen(Cycle& cycle, std::vector<Row>& rows) const = 0;
};

// May refuse a request that could be scheduled.
class Admitter : virtual public Plugin {
 public:
  virtual bool admits(Cycle& cycle) const = 0;
};

// Called in the configuration's order, all of them.
class RequestHook : virtual public Plugin {
 public:
  // The endpoints are chosen, the request is about to be sent.
  virtual void dispatched(const Cycle& /*cycle*/, const Stages& /*stages*/, Decision& /*decision*/) const {}
  virtual void response_headers(Decision& /*decision*/, int /*status*/, const HeaderView& /*headers*/,
                                HeaderEdits& /*edits*/) const {}
  virtual void first_token(Decision& /*decision*/) const {}
  // Exactly once per decision.
  virtual void completed(Decision& /*decision*/, const Completion& /*completion*/) const {}
};

// Is told about every change of the endpoints, before requests see it. One caller at a time.
class EndpointWatcher : virtual public Plugin {
 public:
  virtual void endpoints_changed(const EndpointSnapshot& snapshot) const = 0;
};

// How full the pool is: 1 and more means that no further request should be sent.
class SaturationDetector : virtual public Plugin {
 public:
  virtual double saturation(const Cycle& cycle, std::span<const Row> rows) const = 0;
  // How long after a request has ended it no longer counts here.
  virtual Duration settles_in() const = 0;
  // How many of them have numbers too old to be trusted.
  virtual std::size_t stale(const Cycle& /*cycle*/, std::span<const Row> /*rows*/) const { return 0; }
};

// Up to which saturation requests of a priority are dispatched. `priorities` from high to low.
class UsageLimit : virtual public Plugin {
 public:
  virtual void ceilings(std::span<const int> priorities, double saturation,
                        std::span<double> ceilings) const = 0;
};

// Numbers of its own on /metrics (metrics/page.h).
class Measured : virtual public Plugin {
 public:
  virtual void write(Page& page) const = 0;
};

// State for people: /debug.
class Inspectable : virtual public Plugin {
 public:
  virtual json::Value state() const = 0;
};

}  // namespace llmd::picker
