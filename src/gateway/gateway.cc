#include "gateway/gateway.h"

#include <thread>

#include "async/scope.h"
#include "gateway/lane.h"

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

}  // namespace

struct Gateway::State {
  State(async::EventLoop& loop, GatewayOptions options) : shared(options), lane(loop, shared) {
    for (int i = 1; i < options.loops; ++i) {
      others.push_back(std::make_unique<LaneThread>(shared));
    }
    shared.registry.on_write([this](metrics::TextWriter& writer) { write_running(writer); });
  }

  // Leases are counted where they are held; the page sums them up.
  void write_running(metrics::TextWriter& writer) {
    const auto routing = shared.routing.load();
    writer.family("llmd_gateway_running_requests", "Requests that hold an endpoint.", metrics::Type::Gauge);
    for (const auto& [key, picker] : routing->pickers) {
      for (const auto& endpoint : picker->endpoints()->endpoints) {
        const metrics::Label labels[] = {{"backend", key}, {"endpoint", endpoint->endpoint.name}};
        writer.sample("llmd_gateway_running_requests", metrics::label_text(labels), endpoint->running());
      }
    }
  }

  Shared shared;
  Lane lane;
  std::vector<std::unique_ptr<LaneThread>> others;
};

Gateway::Gateway(async::EventLoop& loop, GatewayOptions options)
    : state_(std::make_unique<State>(loop, options)) {}
Gateway::~Gateway() = default;

Result<net::Address> Gateway::listen(const net::Address& address) {
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
    auto picker = known != current->pickers.end() ? known->second : std::make_shared<picker::Picker>();
    picker->update(backend.ready);
    next->pickers.emplace(key, std::move(picker));
  }
  // Backends that are gone must not serve those who still wait for them.
  for (const auto& [key, picker] : current->pickers) {
    if (!next->pickers.contains(key)) {
      picker->update({});
    }
  }
  next->table = std::move(table);
  state_->shared.routing.store(std::move(next));
  state_->lane.routing_changed();
  for (const auto& other : state_->others) {
    other->routing_changed();
  }
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
  co_await state_->lane.run();
}

Task<void> Gateway::drain(async::Deadline deadline) {
  for (const auto& other : state_->others) {
    other->drain(deadline);
  }
  co_await state_->lane.drain(deadline);
}

}  // namespace llmd::gateway
