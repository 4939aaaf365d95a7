// The endpoints that an external picker named, in its order. Private to gateway.
#pragma once

#include <vector>

#include "gateway/shared.h"
#include "gateway/traffic.h"
#include "proxy/relay.h"

namespace llmd::gateway {

class PickedTargets final : public proxy::Targets {
 public:
  PickedTargets(Shared& shared, Visit& visit, std::vector<net::Address> destinations)
      : shared_(shared), visit_(visit), destinations_(std::move(destinations)) {}

  Task<Result<net::Address>> next() override;
  // The one in use: "10.0.0.1:8000".
  std::string current() const { return next_ == 0 ? std::string() : destinations_[next_ - 1].to_string(); }
  // The request is over: what became of it is remembered of its endpoint.
  void note(const proxy::RelayOutcome& outcome);

 private:
  Shared& shared_;
  Visit& visit_;
  std::vector<net::Address> destinations_;
  std::size_t next_ = 0;
};

}  // namespace llmd::gateway
