// The endpoints of one backend for one request: chosen by its picker, without those that fail time and again.
// Holds the lease of the one in use. Private to gateway.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "async/event.h"
#include "gateway/decision_hooks.h"
#include "gateway/shared.h"
#include "proxy/hedge.h"
#include "proxy/relay.h"

namespace llmd::gateway {

class ServiceTargets final : public proxy::Targets, public proxy::Rivals {
 public:
  // `changed` is set whenever endpoints have changed. Views of the request outlive this object.
  ServiceTargets(Shared& shared, async::Event& changed, const picker::Picker& picker, picker::Request request,
                 std::string_view backend);

  // Nobody waits for an endpoint longer than the whole request may take.
  void end_by(async::Deadline total) { total_ = total; }
  Task<Result<net::Address>> next() override;
  void prepare(http::RequestHead& head) override { tell_endpoint(decision_, head); }
  void answered(http::ResponseHead& head) override { tell_answer(decision_, head); }
  void first_byte() override { decision_.first_token(); }
  Result<net::Address> rival(http::RequestHead& head) override;
  void settled(bool rival_serves, bool other_failed) override;
  // The request is over: what became of it is remembered of its endpoint.
  void note(const proxy::RelayOutcome& outcome, const Answer& answer);
  std::string explanation() const { return decision_.lease ? decision_.explanation() : "no endpoint"; }
  bool retried() const { return !tried_.empty(); }

 private:
  picker::PickResult<picker::Decision> pick() const;

  Shared& shared_;
  async::Event& changed_;
  const picker::Picker& picker_;
  picker::Request request_;
  std::string_view backend_;
  async::Deadline deadline_;
  async::Deadline total_ = async::Deadline::never();
  RetryBudget::Request budget_;
  picker::Decision decision_;
  picker::Decision rival_;  // while both run
  std::vector<picker::EndpointPtr> tried_;
};

}  // namespace llmd::gateway
