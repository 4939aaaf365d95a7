#include "gateway/kube_source.h"

#include <algorithm>
#include <array>
#include <deque>
#include <span>

#include "async/event.h"
#include "async/scope.h"
#include "gateway/kinds.h"
#include "gateway/route_inputs.h"
#include "gateway/status_writer.h"
#include "kube/informer.h"

namespace llmd::gateway {
namespace {

// Changes come in bursts (a rollout touches slices several times); one table for a burst is enough.
constexpr auto kBurst = std::chrono::milliseconds(5);

using ObjectList = std::vector<const kube::Object*> RouteObjects::*;

struct Watched {
  kube::Resource resource;
  ObjectList list;
};

constexpr std::array kWatched{
    Watched{kube::kHttpRoutes, &RouteObjects::http_routes},
    Watched{kube::kServices, &RouteObjects::services},
    Watched{kube::kEndpointSlices, &RouteObjects::endpoint_slices},
    Watched{kube::kGateways, &RouteObjects::gateways},
    Watched{kube::kGatewayClasses, &RouteObjects::gateway_classes},
    Watched{kube::kPods, &RouteObjects::pods},
    Watched{kube::kNamespaces, &RouteObjects::namespaces},
    Watched{kBackendTlsPolicies, &RouteObjects::backend_tls_policies},
    Watched{kube::kConfigMaps, &RouteObjects::config_maps},
    Watched{kube::kSecrets, &RouteObjects::secrets},
    Watched{kPools, &RouteObjects::pools},
    Watched{kOlderPools, &RouteObjects::older_pools},
    Watched{kGrpcRoutes, &RouteObjects::grpc_routes},
    Watched{kReferenceGrants, &RouteObjects::reference_grants},
    Watched{kObjectives, &RouteObjects::objectives},
    Watched{kOlderObjectives, &RouteObjects::objectives},
    Watched{kube::kLlmServices, &RouteObjects::llm_services},
};

}  // namespace

struct KubeSource::State {
  State(async::EventLoop& used, kube::Client& client_used, Gateway& fed, KubeSourceOptions chosen)
      : loop(used),
        client(client_used),
        gateway(fed),
        options(std::move(chosen)),
        writes(options.write_status && !options.status_lease),
        writer(loop, client),
        changed(loop.executor()) {
    for (const Watched& each : kWatched) {
      kube::Informer& informer = informers.emplace_back(loop, client, each.resource);
      informer.on_change([this, &each](const kube::Object* before, const kube::Object* after) {
        if (counts(each, before) || counts(each, after)) {
          changed.set();
        }
      });
    }
  }

  RouteObjects objects(std::span<const ObjectList> wanted = {}) const {
    RouteObjects all;
    for (std::size_t i = 0; i < kWatched.size(); ++i) {
      if (!wanted.empty() && std::ranges::find(wanted, kWatched[i].list) == wanted.end()) {
        continue;
      }
      for (const auto& [key, object] : informers[i].objects()) {
        (all.*kWatched[i].list).push_back(&object);
      }
    }
    return all;
  }

  bool counts(const Watched& watched, const kube::Object* object) const {
    constexpr ObjectList kReferrers[] = {&RouteObjects::gateways, &RouteObjects::backend_tls_policies,
                                         &RouteObjects::pools, &RouteObjects::older_pools};
    return object != nullptr && counts_for_routes(watched.resource, *object, objects(kReferrers));
  }

  // Half a picture would refuse what the whole one serves. Kinds that are unknown here, or not for us, are
  // not waited for. A server that has just started denies everything for a moment: only once it lets us read
  // routes is its word on other kinds believed.
  Task<void> wait_for_known_kinds() {
    static_assert(kWatched.front().resource == kube::kHttpRoutes);
    for (std::size_t i = 0; i < kWatched.size(); ++i) {
      const auto listed = co_await client.list(kWatched[i].resource, {});
      const bool unknown = !listed && listed.error().kind == ErrorKind::NotFound;
      const bool denied = !listed && listed.error().kind == ErrorKind::PermissionDenied && i > 0;
      if (!unknown && !denied) {
        co_await informers[i].synced();
      }
    }
  }

  Task<void> feed(async::Scope& scope) {
    for (kube::Informer& informer : informers) {
      scope.spawn("informer", informer.run());
    }
    co_await wait_for_known_kinds();
    if (options.write_status) {
      scope.spawn("status", writer.run());
    }
    if (options.write_status && options.status_lease) {
      scope.spawn("who writes status", kube::lead(client, *options.status_lease, [this](bool leads) {
                    writes = leads;
                    changed.set();
                  }));
    }
    while (true) {
      changed.reset();
      const RouteObjects all = objects();
      auto built = build_routes(all, {.alone = options.alone,
                                      .external_pickers = gateway.configuration().pools.external(),
                                      .address = options.address,
                                      .now = to_rfc3339(system_clock().wall_now())});
      gateway.update(std::move(built.table));
      gateway.update_models(build_model_targets(all, gateway.configuration().pools.external()));
      writer.want(writes ? std::move(built.status) : std::vector<StatusChange>());
      for (const auto& callback : callbacks) {
        callback(all);
      }
      co_await changed.wait();
      co_await async::sleep(kBurst);
    }
  }

  async::EventLoop& loop;
  kube::Client& client;
  Gateway& gateway;
  const KubeSourceOptions options;
  bool writes;  // status: not while another gateway does
  StatusWriter writer;
  std::deque<kube::Informer> informers;  // as kWatched
  async::Event changed;
  std::vector<std::function<void(const RouteObjects&)>> callbacks;
};

KubeSource::KubeSource(async::EventLoop& loop, kube::Client& client, Gateway& gateway,
                       KubeSourceOptions options)
    : state_(std::make_unique<State>(loop, client, gateway, std::move(options))) {}

KubeSource::~KubeSource() = default;

void KubeSource::on_update(std::function<void(const RouteObjects&)> callback) {
  state_->callbacks.push_back(std::move(callback));
}

Task<void> KubeSource::step_down() {
  if (state_->options.write_status && state_->options.status_lease) {
    co_await kube::give_up_lead(state_->client, *state_->options.status_lease);
  }
}

Task<void> KubeSource::run() {
  auto body = [this](async::Scope& scope) -> Task<void> { return state_->feed(scope); };
  co_await async::with_scope(state_->loop.executor(), body);
}

}  // namespace llmd::gateway
