#include "extproc/program.h"

#include <atomic>
#include <thread>

#include "async/event.h"
#include "base/file.h"
#include "base/log.h"
#include "crypto/certificate.h"
#include "envoy/ext_proc.h"
#include "envoy/health.h"
#include "extproc/debug_handler.h"

namespace llmd::extproc {
namespace {

constexpr auto kTenYears = std::chrono::days(3650);
constexpr auto kLookEvery = std::chrono::seconds(1);

// ext_proc on one loop.
struct Front {
  Front(async::EventLoop& on, const std::shared_ptr<const Pools>& pools, ServiceMetrics& metrics,
        const ProgramOptions& options)
      : loop(on),
        service(on, pools, metrics, options.service),
        server(on, {.tls = options.tls,
                    .reuse_port = options.loops > 1,
                    .max_message_bytes = options.max_message_bytes,
                    .message_limit_flag = options.message_limit_flag}),
        stop(on.executor()) {
    service.add_to(server);
  }

  // Until stopped, then until drained.
  Task<void> serve() {
    co_await async::with_scope(loop.executor(), [this](async::Scope& scope) -> Task<void> {
      scope.spawn("ext_proc", server.run());
      scope.spawn("service", service.run());
      co_await stop.wait();
      co_await server.drain(until);
    });
  }

  async::EventLoop& loop;
  Service service;
  http::GrpcServer server;
  async::Event stop;
  async::Deadline until = async::Deadline::after(Duration::zero());
};

// The same on a loop and a thread of its own.
struct Worker {
  explicit Worker(async::EventLoop& main) : finished(main.executor()) {}
  async::EventLoop loop;
  std::unique_ptr<Front> front;
  std::thread thread;
  async::Event finished;  // of the main loop: its last stream has ended
};

Result<net::Address> named(std::string_view what, Result<net::Address> listening) {
  return listening ? listening : std::unexpected(std::move(listening).error().within(what));
}

std::shared_ptr<MetricsGuard> guard_of(const ProgramOptions& options) {
  return options.metrics_guard ? options.metrics_guard
                               : std::make_shared<MetricsGuard>(MetricsAccess::Everybody);
}

}  // namespace

struct Program::State {
  State(async::EventLoop& on, const std::shared_ptr<const Pools>& pools, metrics::Registry& known,
        ProgramOptions chosen)
      : loop(on),
        options(std::move(chosen)),
        metrics(known),
        main(on, pools, metrics, options),
        health(on, {}),
        http(on, {.tls = options.metrics_tls},
             debug_handler(pools, known, guard_of(options),
                           [this](json::Object& state) { describe(state); })) {}

  void describe(json::Object& state) const;

  envoy::Health health_of(std::string_view service) const;
  void stop_workers(async::Deadline until);

  async::EventLoop& loop;
  ProgramOptions options;
  ServiceMetrics metrics;
  Front main;
  std::vector<std::unique_ptr<Worker>> workers;
  http::GrpcServer health;
  http::Server http;
  net::Address address;
  // Set on this loop, and read by health checks on all.
  std::atomic<bool> synced = false;
  std::atomic<bool> leading = false;
  std::atomic<bool> draining = false;
  std::function<json::Object()> source_state;
};

void Program::State::describe(json::Object& state) const {
  json::Object& said = state["serving"].emplace_object();
  said["synced"] = synced.load();
  said["leading"] = options.leader_election ? json::Value(leading.load()) : json::Value(nullptr);
  said["draining"] = draining.load();
  if (source_state) {
    state["kubernetes"] = source_state();
  }
}

// Names as in llm-d's charts; without leader election every name means readiness.
envoy::Health Program::State::health_of(std::string_view service) const {
  const auto serving = [](bool yes) { return yes ? envoy::Health::Serving : envoy::Health::NotServing; };
  if (!options.leader_election) {
    return serving(synced && (!draining || service == "liveness"));
  }
  if (service == "liveness") {
    return envoy::Health::Serving;
  }
  if (service.empty() || service == "readiness" || service == envoy::kProcessorService) {
    return serving(synced && leading && !draining);
  }
  return envoy::Health::ServiceUnknown;
}

Program::Program(async::EventLoop& loop, std::shared_ptr<const Pools> pools, metrics::Registry& registry,
                 ProgramOptions options)
    : state_(std::make_unique<State>(loop, pools, registry, std::move(options))) {
  State& state = *state_;
  if (state.options.service.stream_metrics) {
    state.metrics.grpc = std::make_unique<ServiceMetrics::Streams>(registry);
  }
  for (const char* name : {"llm_d_epp_info", "inference_extension_info"}) {
    registry.gauges(name, "What runs here.", {"commit", "build_ref"})
        .with({"", state.options.version})
        ->set(1);
  }
  state.options.service.held_bytes /= static_cast<std::size_t>(state.options.loops);
  std::vector<std::string> services{std::string(envoy::kProcessorService)};
  if (state.options.leader_election) {
    services.insert(services.end(), {"liveness", "readiness"});
  }
  const auto check = [&state](std::string_view service) { return state.health_of(service); };
  envoy::add_health_service(state.health, check, services);
  if (state.options.health_on_grpc) {
    envoy::add_health_service(state.main.server, check, services);
  }
  for (int i = 1; i < state.options.loops; ++i) {
    auto worker = std::make_unique<Worker>(loop);
    worker->front = std::make_unique<Front>(worker->loop, pools, state.metrics, state.options);
    if (state.options.health_on_grpc) {
      envoy::add_health_service(worker->front->server, check, services);
    }
    state.workers.push_back(std::move(worker));
  }
}

Program::~Program() {
  state_->stop_workers(async::Deadline::after(Duration::zero()));
}

Result<Program::Addresses> Program::listen() {
  State& state = *state_;
  Addresses addresses;
  LLMD_TRY(addresses.grpc, named("ext_proc", state.main.server.listen(state.options.grpc)));
  for (const auto& worker : state.workers) {
    LLMD_TRY_VOID(worker->front->server.listen(addresses.grpc));
  }
  LLMD_TRY(addresses.health, named("health", state.health.listen(state.options.health)));
  LLMD_TRY(addresses.metrics, named("metrics", state.http.listen(state.options.metrics)));
  return addresses;
}

Task<void> Program::run() {
  State& state = *state_;
  for (const auto& worker : state.workers) {
    worker->thread = std::thread([raw = worker.get(), &main = state.loop] {
      raw->loop.block_on(raw->front->serve());
      main.post([raw] { raw->finished.set(); });
    });
  }
  co_await async::with_scope(state.loop.executor(), [&state](async::Scope& scope) -> Task<void> {
    scope.spawn("health", state.health.run());
    scope.spawn("metrics", state.http.run());
    co_await state.main.serve();
  });
}

void Program::State::stop_workers(async::Deadline until) {
  for (const auto& worker : workers) {
    Front& front = *worker->front;
    worker->loop.post([&front, until] {
      front.until = until;
      front.stop.set();
    });
  }
  for (const auto& worker : workers) {
    if (worker->thread.joinable()) {
      worker->thread.join();
    }
  }
}

Task<void> Program::drain(Duration notice, async::Deadline deadline) {
  State& state = *state_;
  state.draining = true;
  co_await async::sleep(notice);
  for (const auto& worker : state.workers) {
    Front& front = *worker->front;
    worker->loop.post([&front, deadline] {
      front.until = deadline;
      front.stop.set();
    });
  }
  state.main.until = deadline;
  state.main.stop.set();
  co_await state.main.server.drain(deadline);
  for (const auto& worker : state.workers) {
    co_await worker->finished.wait();
  }
}

void Program::set_synced(bool synced) {
  state_->synced = synced;
}

void Program::set_leading(bool leading) {
  state_->leading = leading;
}

void Program::set_source_state(std::function<json::Object()> state) {
  state_->source_state = std::move(state);
}

Result<std::shared_ptr<net::TlsServer>> self_signed_tls(net::TlsServerPolicy policy) {
  LLMD_TRY(const auto made,
           crypto::make_self_signed_certificate({.common_name = "llmd picker", .valid_for = kTenYears},
                                                system_clock().wall_now()));
  return net::tls_server_from_pem(made.certificate_pem, made.key_pem, std::move(policy));
}

Result<std::shared_ptr<net::TlsServer>> tls_from_directory(const std::filesystem::path& directory,
                                                           net::TlsServerPolicy policy) {
  return net::tls_server_from_files(directory / "tls.crt", directory / "tls.key", std::move(policy));
}

Task<void> watch_certificate(std::shared_ptr<net::TlsServer> tls, std::filesystem::path directory) {
  const auto content = [&directory] {
    return read_file(directory / "tls.crt").value_or("") + read_file(directory / "tls.key").value_or("");
  };
  std::string last = content();
  while (true) {
    co_await async::sleep(kLookEvery);
    std::string now = content();
    if (now == last) {
      continue;
    }
    last = std::move(now);
    const auto reloaded = tls->reload();
    if (reloaded) {
      log::info("certificate reloaded", {{"directory", directory.string()}});
    } else {
      log::warning("the old certificate stays", {{"problem", reloaded.error().text()}});
    }
  }
}

}  // namespace llmd::extproc
