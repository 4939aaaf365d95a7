#include "gateway/gateway.h"

#include <algorithm>
#include <thread>

#include "async/scope.h"
#include "base/log.h"
#include "gateway/lane.h"
#include "gateway/model_directory.h"
#include "gateway/picker_request.h"
#include "gateway/pool_scrapers.h"
#include "json/path.h"
#include "net/tls_names.h"
#include "picker/datalayer/scraper.h"
#include "picker/plan.h"

namespace llmd::gateway {
namespace {

// A lane with a loop and a thread of its own.
class LaneThread {
 public:
  LaneThread(Shared& shared) : stop_(loop_.executor()), lane_(loop_, shared) {}
  LaneThread(const LaneThread&) = delete;
  ~LaneThread() {
    if (thread_.joinable()) {
      loop_.post([this] { stop_.set(); });
      thread_.join();
    }
  }

  Result<void> listen(const net::Address& address) {
    LLMD_TRY(const auto bound, lane_.listen(address));
    static_cast<void>(bound);
    return {};
  }
  void start() {
    thread_ = std::thread([this] { loop_.block_on(serve()); });
  }
  void drain(async::Deadline deadline) {
    loop_.post([this, deadline] {
      if (scope_ != nullptr) {
        scope_->spawn("drain", lane_.drain(deadline));
      }
    });
  }
  void routing_changed() {
    loop_.post([this] { lane_.routing_changed(); });
  }
  void open(std::uint16_t listener_port, const net::Address& address,
            const std::shared_ptr<const net::TlsServer>& tls) {
    loop_.post([this, listener_port, address, tls] {
      if (const auto bound = lane_.open(listener_port, address, tls); !bound) {
        log::error("a listener is not open on every loop", {{"error", bound.error().text()}});
      }
    });
  }
  void close(std::uint16_t listener_port) {
    loop_.post([this, listener_port] { lane_.close(listener_port); });
  }

 private:
  Task<void> serve() {
    auto body = [this](async::Scope& scope) -> Task<void> {
      scope_ = &scope;
      scope.spawn("lane", lane_.run());
      co_await stop_.wait();
      scope_ = nullptr;
    };
    co_await async::with_scope(loop_.executor(), body);
  }

  async::EventLoop loop_;
  async::Event stop_;
  Lane lane_;
  async::Scope* scope_ = nullptr;
  std::thread thread_;
};

DirectoryOptions directory_options(const GatewayConfiguration& configuration, const trace::Tracer* tracer) {
  return {.probe_interval = configuration.unified.probeInterval,
          .probe_timeout = configuration.unified.probeTimeout,
          .default_owner = configuration.unified.defaultOwner,
          .pools = configuration.pools,
          .tracer = tracer};
}

}  // namespace

struct Gateway::State {
  State(async::EventLoop& used, GatewayOptions options)
      : loop(used),
        shared(options),
        directory(loop, directory_options(shared.traffic.configuration, shared.traffic.tracer)),
        lane(loop, shared) {
    shared.directory = &directory;
    directory.on_find_picker([this](const std::string& key) -> std::shared_ptr<const picker::Picker> {
      const auto routing = shared.routing.load();
      const auto found = routing->pickers.find(key);
      return found == routing->pickers.end() ? nullptr : found->second;
    });
    directory.on_change([this] {
      scrape_pools();
      routing_changed();
    });
    for (int i = 1; i < options.loops; ++i) {
      others.push_back(std::make_unique<LaneThread>(shared));
    }
    shared.registry.on_write([this](metrics::TextWriter& writer) { write_running(writer); });
  }

  // Leases are counted where they are held; the page sums them up.
  void write_running(metrics::TextWriter& writer) {
    const auto pickers = all_pickers();
    writer.family("llmd_gateway_running_requests", "Requests that hold an endpoint.", metrics::Type::Gauge);
    for (const auto& [key, picker] : pickers) {
      for (const auto& endpoint : picker->endpoints()->endpoints) {
        const metrics::Label labels[] = {{"backend", key}, {"endpoint", endpoint->endpoint.name}};
        writer.sample("llmd_gateway_running_requests", metrics::label_text(labels), endpoint->running());
      }
    }
    writer.family("llmd_gateway_waiting_requests", "Requests that wait until their pool has room.",
                  metrics::Type::Gauge);
    for (const auto& [key, picker] : pickers) {
      if (picker->plan().configuration.flow_control) {
        const auto waiting = json::int_at(picker->debug_state(), "flowControl.waiting");
        const metrics::Label labels[] = {{"backend", key}};
        writer.sample("llmd_gateway_waiting_requests", metrics::label_text(labels), waiting.value_or(0));
      }
    }
    writer.family("llmd_gateway_data_source_problems", "Data sources of a pool whose files cannot be used.",
                  metrics::Type::Gauge);
    for (const auto& [key, picker] : pickers) {
      if (!picker->plan().polls.empty()) {
        const metrics::Label labels[] = {{"backend", key}};
        writer.sample("llmd_gateway_data_source_problems", metrics::label_text(labels),
                      static_cast<double>(picker::source_problems(picker->plan()).size()));
      }
    }
    writer.family("llmd_gateway_ejected_endpoints", "Endpoints left alone because they fail time and again.",
                  metrics::Type::Gauge);
    writer.sample("llmd_gateway_ejected_endpoints", "", shared.outliers.ejected());
  }

  std::shared_ptr<picker::Picker> make_picker(const Backend& backend) const {
    return backend.pool && !backend.external
               ? pool_picker(shared.traffic.configuration.pools, shared.traffic.tracer)
               : std::make_shared<picker::Picker>();
  }

  // Pools of a configuration that may decide by numbers, of routes and of the unified API alone; our own
  // configuration needs none.
  void scrape_pools() {
    std::map<std::string, std::shared_ptr<const picker::Picker>, std::less<>> scraped;
    if (shared.traffic.configuration.pools.pickerConfig.empty()) {
      return;
    }
    const auto routing = shared.routing.load();
    for (const auto& [key, backend] : routing->table.backends) {
      if (backend.pool && !backend.external) {
        scraped.emplace(key, routing->pickers.find(key)->second);
      }
    }
    const auto catalog = directory.catalog();
    for (const ModelMapping& mapping : catalog->mappings) {
      for (const Serving& serving : mapping.serving) {
        if (serving.target->via == Via::Pool && !serving.target->external) {
          scraped.emplace(serving.target->key, serving.picker);
        }
      }
    }
    scrapers.set(scraped);
  }

  // Opens the ports that listeners name, and closes those that none names any more.
  void open(const std::vector<ListenerDoor>& wanted) {
    std::erase_if(doors, [&](const auto& known) {
      const auto found = std::ranges::find(wanted, known.first, &ListenerDoor::port);
      const bool gone = found == wanted.end() || found->tls != known.second.door.tls;
      if (gone) {
        close(known.first);
      }
      return gone;
    });
    for (const ListenerDoor& door : wanted) {
      Opened& opened = doors[door.port];
      const auto changed = !opened.address || opened.door != door ? change(door, opened) : Result<void>();
      if (!changed) {
        log::error("a listener cannot be served", {{"port", door.port}, {"error", changed.error().text()}});
      }
    }
  }

  void close(std::uint16_t port) {
    log::info("listener closed", {{"port", port}});
    lane.close(port);
    for (const auto& other : others) {
      other->close(port);
    }
  }

  void routing_changed() {
    lane.routing_changed();
    for (const auto& other : others) {
      other->routing_changed();
    }
  }

  // The targets that were given and the backends of the routes.
  void update_directory() {
    auto targets = given_targets;
    add_route_backends(shared.routing.load()->table, targets);
    directory.set_targets(std::move(targets));
  }

  // Those of routes and those of models that no route leads to.
  std::map<std::string, std::shared_ptr<const picker::Picker>> all_pickers() const {
    std::map<std::string, std::shared_ptr<const picker::Picker>> all;
    for (const auto& [key, picker] : shared.routing.load()->pickers) {
      all.emplace(key, picker);
    }
    for (const ModelMapping& mapping : directory.catalog()->mappings) {
      for (const Serving& serving : mapping.serving) {
        all.emplace(serving.target->key, serving.picker);
      }
    }
    return all;
  }

  async::EventLoop& loop;
  Shared shared;
  ModelDirectory directory;
  std::vector<ModelTarget> given_targets;
  Lane lane;
  PoolScrapers scrapers{loop};
  std::vector<std::unique_ptr<LaneThread>> others;

  struct Opened {
    ListenerDoor door;
    std::optional<net::Address> address;
    std::shared_ptr<net::TlsNames> certificates;
  };
  std::map<std::uint16_t, Opened> doors;

 private:
  Result<void> change(const ListenerDoor& door, Opened& opened) {
    if (door.tls) {
      std::vector<net::NamedCertificate> certificates;
      for (const auto& each : door.certificates) {
        certificates.push_back({each.hostname, each.certificate_pem, each.key_pem});
      }
      if (opened.certificates) {
        LLMD_TRY_VOID(opened.certificates->replace(certificates));
      } else {
        LLMD_TRY(opened.certificates, net::TlsNames::create(certificates));
      }
    }
    if (!opened.address) {
      const auto& ports = shared.options.listener_ports;
      const auto chosen = ports.find(door.port);
      const std::uint16_t port = chosen == ports.end() ? door.port : chosen->second;
      const auto tls = door.tls ? opened.certificates->server() : nullptr;
      LLMD_TRY(opened.address, lane.open(door.port, {shared.options.listener_host, port}, tls));
      log::info("listener",
                {{"port", door.port}, {"address", opened.address->to_string()}, {"tls", door.tls}});
      for (const auto& other : others) {
        other->open(door.port, *opened.address, tls);
      }
    }
    opened.door = door;
    return {};
  }
};

Gateway::Gateway(async::EventLoop& loop, GatewayOptions options)
    : state_(std::make_unique<State>(loop, options)) {}
Gateway::~Gateway() = default;

Result<net::Address> Gateway::listen(const net::Address& address) {
  LLMD_TRY_VOID(state_->shared.traffic.open());
  LLMD_TRY(const auto bound, state_->lane.listen(address));
  for (const auto& other : state_->others) {
    LLMD_TRY_VOID(other->listen(bound));
  }
  return bound;
}

void Gateway::update(RouteTable table) {
  const auto current = state_->shared.routing.load();
  auto next = std::make_shared<Routing>();
  for (auto& [key, backend] : table.backends) {
    const auto known = current->pickers.find(key);
    auto picker = known != current->pickers.end() ? known->second : state_->make_picker(backend);
    set_priorities(*picker, backend.priorities);
    picker->update(backend.ready);
    next->pickers.emplace(key, std::move(picker));
  }
  // Backends that are gone must not serve those who still wait for them.
  for (const auto& [key, picker] : current->pickers) {
    if (!next->pickers.contains(key)) {
      picker->update({});
    }
  }
  std::vector<net::Address> known;
  for (const auto& [key, backend] : table.backends) {
    for (const auto& endpoint : backend.ready) {
      known.push_back(endpoint.address);
    }
  }
  state_->shared.outliers.keep_only(known);
  const auto doors = state_->shared.options.open_listeners ? table.doors : std::vector<ListenerDoor>();
  next->table = std::move(table);
  state_->shared.routing.store(std::move(next));
  state_->scrape_pools();
  state_->routing_changed();
  state_->update_directory();
  state_->open(doors);
}

std::optional<net::Address> Gateway::listener_address(std::uint16_t port) const {
  const auto found = state_->doors.find(port);
  return found == state_->doors.end() ? std::nullopt : found->second.address;
}

Task<void> Gateway::run() {
  for (const auto& other : state_->others) {
    other->start();
  }
  // However this ends, the threads end with it.
  struct Stopping {
    std::vector<std::unique_ptr<LaneThread>>& threads;
    ~Stopping() { threads.clear(); }
  } stopping{state_->others};
  co_await async::with_scope(state_->loop.executor(), [this](async::Scope& scope) -> Task<void> {
    if (state_->shared.traffic.configuration.unified.enabled) {
      scope.spawn("models", state_->directory.run());
    }
    scope.spawn("scrapers", state_->scrapers.run());
    co_await state_->lane.run();
  });
}

Task<void> Gateway::drain(async::Deadline deadline) {
  for (const auto& other : state_->others) {
    other->drain(deadline);
  }
  co_await state_->lane.drain(deadline);
}

void Gateway::update_models(std::vector<ModelTarget> targets) {
  state_->given_targets = std::move(targets);
  state_->update_directory();
}

ModelDirectory& Gateway::models() {
  return state_->directory;
}

const GatewayConfiguration& Gateway::configuration() const {
  return state_->shared.traffic.configuration;
}

std::string Gateway::metrics_text() const {
  return state_->shared.registry.write_text() + state_->shared.traffic.metrics.write_text();
}

json::Array Gateway::live_requests() const {
  return state_->shared.traffic.live();
}

json::Value Gateway::explain(std::string_view request_id) const {
  json::Object by_backend;
  for (const auto& [key, picker] : state_->all_pickers()) {
    auto explained = picker->explain(request_id);
    if (!explained.is_null()) {
      by_backend[key] = std::move(explained);
    }
  }
  return json::Value(std::move(by_backend));
}

json::Value Gateway::explain_last(std::size_t count) const {
  json::Object by_backend;
  for (const auto& [key, picker] : state_->all_pickers()) {
    by_backend[key] = picker->explain_last(count);
  }
  return json::Value(std::move(by_backend));
}

json::Array Gateway::source_problems() const {
  json::Array problems;
  for (const auto& [key, picker] : state_->all_pickers()) {
    for (const Error& problem : picker::source_problems(picker->plan())) {
      problems.push_back(
          json::Value{{"backend", key}, {"problem", problem.message}, {"hint", problem.advice}});
    }
  }
  return problems;
}

GatewayOptions apply_configuration(GatewayOptions options, const GatewayConfiguration& configuration) {
  options.connect_timeout = configuration.timeouts.connect;
  options.first_byte_timeout = configuration.timeouts.firstByte;
  options.idle_timeout = configuration.timeouts.idle;
  options.endpoint_wait = configuration.timeouts.endpointWait;
  options.picker_timeout = configuration.timeouts.picker;
  options.total_timeout = configuration.timeouts.total;
  options.attempts = static_cast<int>(configuration.retries.attempts);
  options.hedge_after = configuration.retries.hedgeAfter;
  options.max_body_bytes = static_cast<std::size_t>(configuration.limits.maxBodyBytes);
  options.held_body_bytes = static_cast<std::size_t>(configuration.limits.heldBodyBytes);
  options.max_connections = static_cast<std::size_t>(configuration.limits.maxConnections);
  options.configuration = std::make_shared<const GatewayConfiguration>(configuration);
  return options;
}

}  // namespace llmd::gateway
