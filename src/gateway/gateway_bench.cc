// What relaying costs the gateway: eight instant engines that stream 16 tokens, 32 clients, 1 KB prompts. The
// time reported is CPU time of the gateway's thread per request; engines and clients have threads of their
// own.
#include <benchmark/benchmark.h>
#include <time.h>

#include <thread>

#include "async/event.h"
#include "async/scope.h"
#include "gateway/gateway.h"
#include "http/client.h"
#include "http/server.h"

namespace llmd::gateway {
namespace {

double thread_cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// A loop on a thread of its own.
class Background {
 public:
  Background() : thread_([this] { loop_.run(); }) {}
  ~Background() {
    loop_.stop();
    thread_.join();
  }
  async::EventLoop& loop() { return loop_; }

 private:
  async::EventLoop loop_;
  std::thread thread_;
};

// Each token in a write of its own, as engines send them, or all at once.
http::Handler instant_engine(bool token_by_token) {
  return [token_by_token](http::Exchange& exchange) -> Task<void> {
    static constexpr std::string_view kToken =
        "data: "
        "{\"id\":\"cmpl-1\",\"object\":\"chat.completion.chunk\",\"model\":\"m\",\"choices\":[{\"index\":0,"
        "\"delta\":{\"content\":\" token\"},\"finish_reason\":null}]}\n\n";
    co_await http::read_all(exchange.body(), 1 << 20);
    co_await exchange.start({200, {{"Content-Type", "text/event-stream; charset=utf-8"}}});
    if (token_by_token) {
      for (int i = 0; i < 16; ++i) {
        co_await exchange.write(kToken);
      }
    } else {
      std::string all;
      for (int i = 0; i < 16; ++i) {
        all += kToken;
      }
      co_await exchange.write(all);
    }
    co_await exchange.finish("data: [DONE]\n\n");
  };
}

Task<void> ask(http::ClientPool& pool, net::Address gateway, int times, const std::string& body) {
  for (int i = 0; i < times; ++i) {
    http::ClientRequest request;
    request.address = gateway;
    request.head = {"POST", "/default/m/v1/chat/completions", {{"Content-Type", "application/json"}}};
    request.content = body;
    auto response = co_await pool.send(std::move(request));
    while (response && !(co_await (*response)->body().next()).value_or("").empty()) {
    }
  }
}

void relay(benchmark::State& state) {
  constexpr int kClients = 32;
  constexpr int kRequests = 50;
  Background engines;
  Background clients;
  async::EventLoop loop;
  std::vector<std::unique_ptr<http::Server>> servers;
  auto rule = std::make_shared<Rule>();
  rule->route = "default/m";
  rule->backends = {{.key = "svc", .problem = {}, .weight = 1}};
  rule->rewrite = {PathRewrite::Kind::PrefixMatch, "/"};
  RouteTable table;
  table.add("", {.path = "/default/m", .rule = rule});
  table.seal();
  async::Scope engine_scope(engines.loop());
  for (int i = 0; i < 8; ++i) {
    servers.push_back(std::make_unique<http::Server>(engines.loop(), http::ServerOptions{},
                                                     instant_engine(state.range(0) == 1)));
    const auto address = servers.back()->listen({"127.0.0.1", 0}).value();
    engines.loop().post(
        [&, i] { engine_scope.spawn("engine", servers[static_cast<std::size_t>(i)]->run()); });
    table.backends["svc"].ready.push_back({.address = address, .name = std::to_string(i), .labels = {}});
  }
  Gateway gateway(loop, {});
  const auto address = gateway.listen({"127.0.0.1", 0}).value();
  gateway.update(std::move(table));
  async::Scope scope(loop);
  scope.spawn("gateway", gateway.run());
  const std::string body =
      R"({"model":"m","stream":true,"prompt":")" + std::string(state.range(1), 'x') + R"("})";
  http::ClientPool pool(clients.loop());
  for (auto _ : state) {
    const double before = thread_cpu_seconds();
    async::Event done(loop.executor());
    int left = kClients;
    async::Scope client_scope(clients.loop());
    const auto one = [&]() -> Task<void> {
      co_await ask(pool, address, kRequests, body);
      if (--left == 0) {
        loop.post([&] { done.set(); });
      }
    };
    clients.loop().post([&] {
      for (int i = 0; i < kClients; ++i) {
        client_scope.spawn("client", one());
      }
    });
    loop.block_on(done.wait());
    state.SetIterationTime((thread_cpu_seconds() - before) / (kClients * kRequests));
    while (client_scope.size() > 0) {
      std::this_thread::yield();
    }
  }
  loop.block_on(scope.close());
  std::atomic<bool> closed = false;
  const auto close_engines = [&]() -> Task<void> {
    co_await engine_scope.close();
    closed = true;
  };
  async::Scope closing(engines.loop());
  engines.loop().post([&] { closing.spawn("close", close_engines()); });
  clients.loop().post([&] { pool.close_idle(); });
  while (!closed || closing.size() > 0) {
    std::this_thread::yield();
  }
}
BENCHMARK(relay)
    ->ArgNames({"token_by_token", "prompt_bytes"})
    ->Args({1, 1000})
    ->Args({0, 1000})
    ->Args({1, 220000})
    ->Iterations(20)  // the manual time is per request, which would ask for thousands
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace llmd::gateway
