#include "gateway/mirrors.h"

namespace llmd::gateway {
namespace {

struct Counted {
  int& count;
  explicit Counted(int& running) : count(running) { ++count; }
  Counted(const Counted&) = delete;
  ~Counted() { --count; }
};

}  // namespace

void Mirrors::send(async::Scope& scope, std::shared_ptr<const Routing> routing, const std::string& backend,
                   const http::RequestHead& head, std::string_view body) {
  if (running_ < kMost) {
    scope.spawn("mirror", run(std::move(routing), backend, head, std::string(body)));
  }
}

std::shared_ptr<MirrorFeed> Mirrors::follow(async::Scope& scope, std::shared_ptr<const Routing> routing,
                                            const std::string& backend, http::RequestHead head) {
  if (running_ >= kMost) {
    return nullptr;
  }
  auto feed = std::make_shared<MirrorFeed>(executor_);
  scope.spawn("mirror", run_call(std::move(routing), backend, std::move(head), feed));
  return feed;
}

Task<void> Mirrors::run(std::shared_ptr<const Routing> routing, std::string backend, http::RequestHead head,
                        std::string body) {
  const Counted counted(running_);
  http::ClientRequest call;
  call.head = std::move(head);
  call.content = body;
  co_await send(*routing, backend, std::move(call), false);
}

Task<void> Mirrors::run_call(std::shared_ptr<const Routing> routing, std::string backend,
                             http::RequestHead head, std::shared_ptr<MirrorFeed> feed) {
  const Counted counted(running_);
  http::ClientRequest call;
  call.head = std::move(head);
  call.head.headers.set("te", "trailers");
  call.stream = feed.get();
  co_await send(*routing, backend, std::move(call), true);
  feed->give_up();  // whatever is added from now on is not needed
}

Task<void> Mirrors::send(const Routing& routing, const std::string& backend, http::ClientRequest call,
                         bool grpc) {
  const auto picker = routing.pickers.find(backend);
  if (picker == routing.pickers.end()) {
    co_return;
  }
  const auto decided = picker->second->pick({.body_bytes = call.content.size()});
  if (!decided) {
    co_return;
  }
  call.address = decided->endpoint().address;
  call.timeouts = {.connect = shared_.options.connect_timeout,
                   .first_byte = shared_.options.first_byte_timeout,
                   .idle = shared_.options.idle_timeout};
  const BackendProtocol& protocol = routing.table.backends.find(backend)->second.protocol;
  http::Client& client = grpc ? upstreams_.http2_of(protocol) : upstreams_.of(protocol);
  const auto response = co_await client.send(std::move(call));
  while (response) {
    const auto piece = co_await (*response)->body().next();
    if (!piece || piece->empty()) {
      co_return;
    }
  }
}

}  // namespace llmd::gateway
