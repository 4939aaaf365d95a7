#include "gateway/mirrors.h"

namespace llmd::gateway {

void Mirrors::send(async::Scope& scope, std::shared_ptr<const Routing> routing, const std::string& backend,
                   const http::RequestHead& head, std::string_view body) {
  if (running_ < kMost) {
    scope.spawn("mirror", run(std::move(routing), backend, head, std::string(body)));
  }
}

Task<void> Mirrors::run(std::shared_ptr<const Routing> routing, std::string backend, http::RequestHead head,
                        std::string body) {
  struct Counted {
    int& count;
    explicit Counted(int& running) : count(running) { ++count; }
    ~Counted() { --count; }
  } counted(running_);
  constexpr std::size_t kLongestAnswer = 64 << 20;
  const auto picker = routing->pickers.find(backend);
  if (picker == routing->pickers.end()) {
    co_return;
  }
  const auto decided = picker->second->pick({.body_bytes = body.size()});
  if (!decided) {
    co_return;
  }
  http::ClientRequest call;
  call.address = decided->endpoint().address;
  call.head = std::move(head);
  call.content = body;
  call.timeouts = {.connect = shared_.options.connect_timeout,
                   .first_byte = shared_.options.first_byte_timeout,
                   .idle = shared_.options.idle_timeout};
  http::Client& client = upstreams_.of(routing->table.backends.find(backend)->second.protocol);
  co_await http::fetch(client, std::move(call), kLongestAnswer);
}

}  // namespace llmd::gateway
