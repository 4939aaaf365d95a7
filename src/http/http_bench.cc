// Keep-alive requests and streamed answers over loopback, client and server on one loop: what one exchange
// costs both.
#include <benchmark/benchmark.h>

#include "async/scope.h"
#include "http/client.h"
#include "http/server.h"

namespace llmd::http {
namespace {

class Served {
 public:
  explicit Served(Handler handler) : server_(loop_, {}, std::move(handler)) {
    address_ = server_.listen({"127.0.0.1", 0}).value();
    scope_.spawn("server", server_.run());
  }
  ~Served() {
    pool_.close_idle();
    loop_.block_on(scope_.close());
  }
  // Many at once inside the loop: entering it for each would measure that.
  void ask(std::size_t times, std::string_view content) { loop_.block_on(ask_all(times, content)); }

 private:
  Task<void> ask_all(std::size_t times, std::string_view content) {
    for (std::size_t i = 0; i < times; ++i) {
      ClientRequest request;
      request.address = address_;
      request.head.method = "POST";
      request.content = content;
      auto response = (co_await pool_.send(std::move(request))).value();
      while (!(co_await response->body().next()).value().empty()) {
      }
    }
  }

  async::EventLoop loop_;
  async::Scope scope_{loop_};
  Server server_;
  ClientPool pool_{loop_};
  net::Address address_;
};

constexpr std::size_t kBatch = 100;

void keep_alive_request(benchmark::State& state) {
  Served served([](Exchange& exchange) -> Task<void> {
    co_await read_all(exchange.body(), 1 << 20);
    co_await exchange.respond(200, "text/plain", "ok");
  });
  const std::string content(1024, 'x');
  for (auto _ : state) {
    served.ask(kBatch, content);
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(keep_alive_request);

void streamed_answer_of_16_events(benchmark::State& state) {
  Served served([](Exchange& exchange) -> Task<void> {
    co_await read_all(exchange.body(), 1 << 20);
    co_await exchange.start({200, {{"Content-Type", "text/event-stream"}}});
    for (int i = 0; i < 16; ++i) {
      co_await exchange.write("data: {\"choices\":[{\"delta\":{\"content\":\"token\"}}]}\n\n");
    }
    co_await exchange.finish();
  });
  const std::string content(1024, 'x');
  for (auto _ : state) {
    served.ask(kBatch, content);
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(streamed_answer_of_16_events);

}  // namespace
}  // namespace llmd::http
