#include "http/http2_pool.h"

#include <algorithm>

namespace llmd::http {
namespace {

constexpr std::size_t kMostConnections = 8;  // to one address: each carries a hundred streams or more

}  // namespace

void Http2Pool::close() {
  scope_ = nullptr;
  links_.clear();
}

Task<Result<std::shared_ptr<Http2Client>>> Http2Pool::get(net::Address address, async::Deadline deadline) {
  auto& known = links_[address];
  if (!known) {
    known = std::make_shared<Link>(executor_);
  }
  const auto link = known;
  while (true) {
    std::erase_if(link->clients, [](const auto& client) { return client->over(); });
    const auto usable =
        std::ranges::find_if(link->clients, [](const auto& client) { return client->usable(); });
    if (usable != link->clients.end()) {
      co_return *usable;
    }
    if (!link->dialling) {
      LLMD_CO_TRY_VOID(co_await dial(address, link, deadline));
      continue;
    }
    link->changed.reset();
    const bool changed = co_await link->changed.wait_until(deadline);
    if (!changed) {
      co_return deadline_exceeded("connecting to {}: the deadline passed", address.to_string());
    }
  }
}

Task<Result<void>> Http2Pool::dial(net::Address address, std::shared_ptr<Link> link,
                                   async::Deadline deadline) {
  if (scope_ == nullptr) {
    co_return unavailable("{}: there are no connections any more", address.to_string());
  }
  if (link->clients.size() >= kMostConnections) {
    co_return unavailable("{} takes no more requests", address.to_string());
  }
  struct Dialling {
    Link& link;
    explicit Dialling(Link& dialled) : link(dialled) { link.dialling = true; }
    ~Dialling() {  // also when cancelled: others wait for it
      link.dialling = false;
      link.changed.set();
    }
  } dialling(*link);
  Http2ClientOptions options;
  options.connect_by = deadline;
  options.tls = tls_;
  LLMD_CO_TRY(auto client, co_await Http2Client::connect(*scope_, std::move(address), std::move(options)));
  link->clients.push_back(std::move(client));
  co_return Result<void>();
}

Task<Result<std::unique_ptr<ClientResponse>>> Http2Pool::send(ClientRequest request) {
  const net::Address address = request.address;
  const auto connect_by = request.timeouts.total.or_after(request.timeouts.connect);
  const bool again = request.stream == nullptr;
  LLMD_CO_TRY(auto client, co_await get(address, connect_by));
  auto answer = co_await client->send(request);
  // A connection that ended just when it was used is no failure of the request. A streamed body is used up.
  const bool lost = !answer && answer.error().kind == ErrorKind::Unavailable && client->over();
  const bool aborted = request.abort != nullptr && request.abort->aborted();
  if (!lost || !again || aborted) {
    co_return answer;
  }
  LLMD_CO_TRY(client, co_await get(address, connect_by));
  co_return co_await client->send(std::move(request));
}

}  // namespace llmd::http
