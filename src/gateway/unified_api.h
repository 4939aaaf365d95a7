// The unified API: one address for every model. Serves what no route claims:
//   GET /v1/models, GET /v1/models/{id}   what all backends list, from memory (HEAD as well; others 405)
//   any other path                        goes to who serves the model that the request names
// The body is passed on as it came, except that `model` is replaced where the engine knows another name, and
// that owned_by, engine and inference_server, which are for us, are cut out. Private to gateway; one loop.
#pragma once

#include <optional>

#include "async/event.h"
#include "gateway/external_relay.h"
#include "gateway/model_directory.h"
#include "gateway/shared.h"
#include "gateway/traffic.h"
#include "openai/request_scan.h"
#include "proxy/relay.h"

namespace llmd::gateway {

struct UnifiedSelector;
class UnifiedTargets;

class UnifiedApi {
 public:
  UnifiedApi(Shared& shared, Upstreams& upstreams, ExternalRelay& external, async::Event& changed)
      : shared_(shared), upstreams_(upstreams), external_(external), changed_(changed) {}

  // False: the request is none of the unified API's (it names no model and has no body); nothing has been
  // answered. `listener_trusted`: objective, fairness, SLO and rewrite headers may pass. `scheme`: http or
  // https.
  Task<bool> handle(Visit& visit, bool listener_trusted, std::string_view scheme);

 private:
  Task<bool> list_models(Visit& visit);
  Task<std::optional<openai::ApiError>> find_model(const UnifiedSelector& selector, std::string_view model,
                                                   std::string& target_model);
  Task<void> forward(Visit& visit, const UnifiedSelector& selector, const openai::RequestScan& scan,
                     std::string_view body, bool listener_trusted, std::string_view scheme);
  Task<proxy::RelayOutcome> relay(Visit& visit, UnifiedTargets& targets, proxy::RelayRequest request,
                                  std::string_view scheme);
  Task<void> wait_for_first_answers();

  Shared& shared_;
  Upstreams& upstreams_;
  ExternalRelay& external_;
  async::Event& changed_;
};

}  // namespace llmd::gateway
