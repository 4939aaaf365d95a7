// The endpoints that an external picker named, in its order. Holds a lease of the one in use where this
// gateway knows it, too: what runs is counted, whoever decides. Private to gateway.
#pragma once

#include <vector>

#include "gateway/shared.h"
#include "gateway/traffic.h"
#include "proxy/relay.h"

namespace llmd::gateway {

class PickedTargets final : public proxy::Targets {
 public:
  PickedTargets(Shared& shared, Visit& visit, std::vector<net::Address> destinations,
                const picker::Picker& known)
      : shared_(shared), visit_(visit), destinations_(std::move(destinations)), known_(known) {}

  Task<Result<net::Address>> next() override;
  // The one in use: "10.0.0.1:8000".
  std::string current() const { return next_ == 0 ? std::string() : destinations_[next_ - 1].to_string(); }
  // The request is over: what became of it is remembered of its endpoint.
  void note(const proxy::RelayOutcome& outcome);

 private:
  Shared& shared_;
  Visit& visit_;
  std::vector<net::Address> destinations_;
  const picker::Picker& known_;
  picker::Lease lease_;
  std::size_t next_ = 0;
};

}  // namespace llmd::gateway
