// The endpoints of one backend for one request: chosen by its picker, without those that fail time and again.
// Private to gateway.
#pragma once

#include <string_view>

#include "async/event.h"
#include "gateway/decided_targets.h"

namespace llmd::gateway {

class ServiceTargets final : public DecidedTargets {
 public:
  // `changed` is set whenever endpoints have changed. Views of the request outlive this object.
  ServiceTargets(Shared& shared, async::Event& changed, const picker::Picker& picker, picker::Request request,
                 std::string_view backend);

  // Nobody waits for an endpoint longer than the whole request may take.
  void end_by(async::Deadline total) { total_ = total; }
  Task<Result<net::Address>> next() override;

 private:
  picker::PickResult<picker::Decision> pick() const;
  Result<picker::Decision> another() override;

  async::Event& changed_;
  const picker::Picker& picker_;
  picker::Request request_;
  async::Deadline deadline_;
  async::Deadline total_ = async::Deadline::never();
};

}  // namespace llmd::gateway
