// Endpoints that fail time and again are left alone for a while and come back slowly. An endpoint that failed
// `failures` times in a row is avoided for `pause`, twice as long the next time, up to `longest_pause`; then
// it gets a share of the requests that grows over `ramp`. When nobody else is left, nobody is avoided: an
// error from an endpoint says more than one from us. Any thread.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <span>
#include <vector>

#include "base/clock.h"
#include "net/address.h"
#include "picker/endpoint.h"
#include "proxy/relay.h"

namespace llmd::gateway {

struct OutlierOptions {
  int failures = 5;  // 0: nobody is ever avoided
  Duration pause = std::chrono::seconds(10);
  Duration longest_pause = std::chrono::seconds(300);
  Duration ramp = std::chrono::seconds(10);
};

class Outliers {
 public:
  explicit Outliers(OutlierOptions options, const Clock& clock = system_clock())
      : options_(options), clock_(clock) {}

  void succeeded(const net::Address& endpoint);
  void failed(const net::Address& endpoint);
  // One of the two, by what became of a request there; neither where its client left.
  void ended(const net::Address& endpoint, const proxy::RelayOutcome& outcome);
  // Those of `all` that this request should not go to. `turn` differs between requests.
  std::vector<picker::EndpointPtr> avoided(std::span<const picker::EndpointPtr> all, unsigned turn) const;
  // Forgets endpoints that are not among `known`.
  void keep_only(std::span<const net::Address> known);
  int ejected() const;  // for the metric

 private:
  struct State {
    int failures = 0;  // in a row
    int ejections = 0;
    TimePoint until = {};  // end of the pause; epoch: none
  };
  bool avoids(const State& state, TimePoint now, unsigned turn) const;

  const OutlierOptions options_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::map<net::Address, State> troubled_;  // endpoints without trouble are not listed
  std::atomic<int> size_{0};                // of troubled_: mostly 0, and then nothing needs the lock
};

}  // namespace llmd::gateway
