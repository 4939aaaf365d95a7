// Requests to an InferencePool whose endpoints are picked elsewhere: asks the picker, then relays to the
// endpoints that it named, in order. What happens without a decision is the pool's choice: FailOpen, any
// endpoint that is ready; FailClose, 503. Private to gateway; one loop.
#pragma once

#include "gateway/picker_links.h"
#include "gateway/shared.h"
#include "gateway/traffic.h"
#include "gateway/upstreams.h"
#include "proxy/relay.h"

namespace llmd::gateway {

// A backend of which another program decides; whoever gives it outlives the relay.
struct ExternallyPicked {
  const ExternalPicker& picker;
  const BackendProtocol& protocol;
  const picker::Picker& endpoints;  // that are known here: their requests are counted
};

class ExternalRelay {
 public:
  ExternalRelay(Shared& shared, Upstreams& upstreams, Executor executor)
      : shared_(shared), upstreams_(upstreams), executor_(executor), links_(executor) {}

  PickerLinks& links() { return links_; }

  // nullopt: there is no decision, nothing has been answered, and the pool is FailOpen; `request` is as it
  // was.
  Task<std::optional<proxy::RelayOutcome>> relay(Visit& visit, ExternallyPicked backend,
                                                 std::string_view scheme, proxy::RelayRequest& request,
                                                 const proxy::RelayOptions& options);
  // The same of a gRPC call that has sent all its messages: `request.body`.
  Task<std::optional<proxy::RelayOutcome>> relay_call(Visit& visit, ExternallyPicked backend,
                                                      std::string_view scheme, proxy::RelayRequest& request,
                                                      const proxy::RelayOptions& options);

 private:
  enum class Speech { Http, Grpc };
  struct Decision;
  Task<std::optional<proxy::RelayOutcome>> relay_as(Speech speech, Visit& visit, ExternallyPicked backend,
                                                    std::string_view scheme, proxy::RelayRequest& request,
                                                    const proxy::RelayOptions& options);
  Task<Result<void>> decide(const ExternalPicker& picker, std::string_view scheme,
                            const proxy::RelayRequest& request, Decision& decision);
  Task<proxy::RelayOutcome> follow(Speech speech, Visit& visit, ExternallyPicked backend, Decision& decision,
                                   proxy::RelayRequest& request, const proxy::RelayOptions& options);

  Shared& shared_;
  Upstreams& upstreams_;
  Executor executor_;
  PickerLinks links_;
};

}  // namespace llmd::gateway
