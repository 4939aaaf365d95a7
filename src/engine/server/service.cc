#include "engine/server/service.h"

#include <cstdlib>

#include "base/log.h"
#include "engine/server/model_path.h"
#include "engine/server/router.h"
#include "engine/server/simulation.h"

namespace llmd::engine {
namespace {

bool is_true(const std::optional<std::string>& text) {
  return text && *text != "0" && *text != "false" && *text != "False";
}

ServerSettings settings_of(const ServeOptions& options, const Environment& environment) {
  const HttpFlags& http = options.http;
  ServerSettings settings;
  settings.version = reported_version();
  settings.root_path = http.root_path;
  settings.api_keys = http.api_keys;
  if (const auto key = environment("VLLM_API_KEY"); key && settings.api_keys.empty()) {
    settings.api_keys.push_back(*key);
  }
  settings.request_id_headers = http.request_id_headers;
  settings.prompt_tokens_details = http.prompt_tokens_details;
  settings.force_include_usage = http.force_include_usage;
  settings.tokens_as_ids = http.tokens_as_ids;
  settings.runtime_lora = is_true(environment("VLLM_ALLOW_RUNTIME_LORA_UPDATING"));
  settings.dev_mode = is_true(environment("VLLM_SERVER_DEV_MODE"));
  settings.max_lora_rank = options.lora.max_rank;
  settings.stream_interval = options.scheduler.stream_interval;
  settings.access_log = options.simulate ? options.simulation.log_http : http.access_log;
  settings.unlogged_paths = http.unlogged_paths;
  settings.log_requests = http.log_requests;
  return settings;
}

// Without --host: loopback, as everything of ours on one machine; in a pod of a cluster every address, as
// vLLM.
std::string default_host() {
  return std::getenv("KUBERNETES_SERVICE_HOST") == nullptr ? "127.0.0.1" : "0.0.0.0";
}

}  // namespace

std::string reported_version() {
  return process_environment()("LLMD_VLLM_VERSION").value_or("0.18.0");
}

struct Service::Owned {
  std::unique_ptr<KvEvents> kv_events;  // the engines report to it
  LoadedEngine real;
  SimulatedParts simulated;
};

Service::Service(async::EventLoop& loop, ServeOptions options)
    : loop_(loop),
      options_(std::move(options)),
      context_{.loop = loop, .settings = settings_of(options_, process_environment())},
      owned_(std::make_unique<Owned>()),
      started_(loop.executor()),
      ending_(loop.executor()) {
  context_.simulated = options_.simulate;
  add_process_metrics(context_.registry);
}

Service::~Service() = default;

Result<net::Address> Service::listen() {
  http::ServerOptions options;
  options.max_body_bytes = options_.http.max_body_bytes;
  options.error_content_type = "application/json";
  options.error_body = [](int status, std::string_view message) {
    return error_body({status, std::string(error_type(status)), std::string(message), std::nullopt});
  };
  if (!options_.http.certificate.empty()) {
    LLMD_TRY(options.tls, net::TlsServer::from_files(options_.http.certificate, options_.http.key));
  }
  server_ = std::make_unique<http::Server>(loop_, std::move(options), make_handler(context_));
  LLMD_TRY(const net::Address address,
           server_->listen({options_.http.host.empty() ? default_host() : options_.http.host,
                            static_cast<std::uint16_t>(options_.http.port)}));
  port_ = address.port;
  if (options_.simulate) {
    context_.settings.headers = replica_headers(port_);
  }
  return address;
}

void Service::stop() {
  ending_.set();
}

Task<bool> Service::ready() {
  co_await started_.wait();
  co_return !failure_;
}

const KvEvents* Service::kv_events() const {
  return owned_->kv_events.get();
}

Task<Result<void>> Service::run() {
  auto body = [this](async::Scope& scope) -> Task<void> {
    scope.spawn("http server", server_->run());
    scope.spawn("start", start(scope));
    co_await ending_.wait();
    if (!failure_) {
      log::info("stopping", {{"connections", server_->connections()}});
      co_await server_->drain(async::Deadline::after(options_.http.shutdown_timeout));
    }
    co_await scope.close();
  };
  co_await async::with_scope(loop_.executor(), body);
  context_.engine = nullptr;
  if (failure_) {
    co_return std::unexpected(*failure_);
  }
  co_return Result<void>();
}

Task<void> Service::start(async::Scope& scope) {
  Result<void> result = co_await start_engine(scope);
  if (!result) {
    fail(std::move(result).error());
  } else {
    log::info("ready", {{"model", context_.model->names.front()}, {"port", port_}});
    scope.spawn("engine watch", watch_engine());
    if (options_.http.log_stats && !options_.simulate) {
      scope.spawn("throughput log", log_throughput());
    }
  }
  started_.set();
}

Result<void> Service::open_kv_events() {
  if (!options_.kv_events.enabled) {
    return {};
  }
  if (!options_.cache.prefix_caching) {
    log::warning("KV events have nothing to tell: prefix caching is off");
  }
  const std::string host = options_.http.host.empty() ? default_host() : options_.http.host;
  const std::string address = process_environment()("POD_IP").value_or(host);
  LLMD_TRY(owned_->kv_events,
           KvEvents::open(options_.kv_events,
                          {.host = host,
                           .host_was_asked_for = !options_.http.host.empty(),
                           .pod = net::Address{address, static_cast<std::uint16_t>(port_)}.to_string(),
                           .model = first_name(options_)},
                          context_.registry));
  return {};
}

Task<Result<void>> Service::start_engine(async::Scope& scope) {
  LLMD_CO_TRY_VOID(open_kv_events());
  if (options_.simulate) {
    LLMD_CO_TRY_VOID(co_await start_simulated(scope));
  } else {
    LLMD_CO_TRY_VOID(co_await start_real());
  }
  co_return co_await load_static_adapters();
}

Task<Result<void>> Service::start_real() {
  // The engine's thread ends before this object does, but what it posts may run later.
  auto on_death = [this, alive = std::weak_ptr<int>(alive_)](const Error& error) {
    loop_.post([this, alive, error] {
      if (!alive.expired()) {
        fail(error);
      }
    });
  };
  auto load = [this, on_death] {
    return load_engine(options_, context_.registry, owned_->kv_events.get(), on_death);
  };
  auto loaded = co_await context_.worker.run(std::move(load));
  if (!loaded) {
    co_return std::unexpected(std::move(loaded).error());
  }
  owned_->real = std::move(*loaded);
  context_.model = owned_->real.model;
  context_.engine = owned_->real.engine.get();
  co_return Result<void>();
}

Task<Result<void>> Service::start_simulated(async::Scope& scope) {
  if (options_.simulation.startup > Duration::zero()) {
    co_await async::sleep(options_.simulation.startup);
  }
  LLMD_CO_TRY(owned_->simulated,
              simulate_engine(loop_, options_, context_.registry, owned_->kv_events.get()));
  // A page as large as that of a busy vLLM, about 100 KB: scrapers are measured with it.
  const std::vector<std::string_view> routes = route_paths();
  context_.http_metrics.fill(routes);
  scope.spawn("simulated engine", owned_->simulated.engine->run());
  context_.model = owned_->simulated.model;
  context_.failure = failure_source(options_.simulation, context_.model->names.front());
  context_.engine = owned_->simulated.engine.get();
  co_return Result<void>();
}

Task<Result<void>> Service::load_static_adapters() {
  for (const LoraModule& module : options_.lora.modules) {
    Engine* engine = context_.engine;
    auto load = [engine, path = module.path] { return engine->load_adapter(path); };
    auto weights = co_await context_.worker.run(std::move(load));
    if (!weights) {
      co_return std::unexpected(std::move(weights).error().within("--lora-modules " + module.name));
    }
    if ((*weights)->rank() > options_.lora.max_rank) {
      co_return invalid_argument("--lora-modules {}: its rank {} is above --max-lora-rank {}", module.name,
                                 (*weights)->rank(), options_.lora.max_rank);
    }
    const std::string base =
        module.base_model_name.empty() ? context_.model->names.front() : module.base_model_name;
    context_.adapters.add({module.name, module.path, base, 0, std::move(*weights)});
  }
  co_return Result<void>();
}

void Service::fail(Error error) {
  failure_ = std::move(error);
  ending_.set();
}

// An engine that hangs in a step never tells so itself.
Task<void> Service::watch_engine() {
  while (true) {
    co_await async::sleep(std::chrono::seconds(5));
    Result<void> health = context_.engine->health();
    if (!health) {
      fail(std::move(health).error());
      co_return;
    }
  }
}

// A line every ten seconds while there is something to tell.
Task<void> Service::log_throughput() {
  const EngineMetrics& metrics = *owned_->real.metrics;
  EngineMetrics::Totals before = metrics.totals();
  while (true) {
    co_await async::sleep(std::chrono::seconds(10));
    const EngineMetrics::Totals now = metrics.totals();
    const EngineLoad load = context_.engine->load();
    if (now.generated != before.generated || now.prompt != before.prompt || load.running > 0) {
      const double queried = now.queried - before.queried;
      log::info("throughput", {{"prompt_tokens_per_s", (now.prompt - before.prompt) / 10},
                               {"generated_tokens_per_s", (now.generated - before.generated) / 10},
                               {"running", load.running},
                               {"waiting", load.waiting},
                               {"kv_cache_usage", load.cache_usage},
                               {"prefix_hit_rate", queried > 0 ? (now.hits - before.hits) / queried : 0.0}});
    }
    before = now;
  }
}

}  // namespace llmd::engine
