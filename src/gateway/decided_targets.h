// What targets have in common whose endpoints a picker of this gateway decides: the one in use, the second
// one while a late answer is hedged, and those that the request has tried. Holds their leases and the
// request's place in the retry budget. Private to gateway.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "gateway/decision_hooks.h"
#include "gateway/shared.h"
#include "proxy/hedge.h"
#include "proxy/relay.h"

namespace llmd::gateway {

class DecidedTargets : public proxy::Targets, public proxy::Rivals {
 public:
  void prepare(http::RequestHead& head) override;
  void answered(http::ResponseHead& head) override { tell_answer(decision_, head); }
  void first_byte() override { decision_.first_token(); }
  Result<net::Address> rival(http::RequestHead& head) override;
  void settled(bool rival_serves, bool other_failed) override;
  // Flow control may take the request back for one of a higher priority while it is relayed on the loop of
  // `executor`: its room is given back at once, and what is returned here revokes the relay.
  proxy::Revocation& be_evictable(Executor executor);
  // The request is over: what became of it is remembered of its endpoint.
  void note(const proxy::RelayOutcome& outcome, const Answer& answer);

 protected:
  // `whose`: the backend or the model, for errors; outlives this.
  DecidedTargets(Shared& shared, std::string_view whose);
  // An endpoint that is not among those tried and speaks as the one in use does.
  virtual Result<picker::Decision> another() = 0;
  // The endpoint in use has failed and is given up; an error: no other may be tried.
  Result<void> give_up();
  bool has_tried(const net::Address& endpoint) const;

  Shared& shared_;
  const std::string_view whose_;
  picker::Decision decision_;  // of the endpoint in use
  std::vector<picker::EndpointPtr> tried_;

 private:
  void offer_for_eviction();
  void evicted();

  RetryBudget::Request budget_;
  picker::Decision rival_;  // while both run
  proxy::Revocation revocation_;
  std::optional<Executor> executor_;       // absent: it is not evictable
  std::shared_ptr<DecidedTargets*> self_;  // what flow control may call while it lives; null: was not offered
};

}  // namespace llmd::gateway
