#include "gateway/picker_links.h"

#include <algorithm>

#include "net/tls_options.h"

namespace llmd::gateway {
namespace {

constexpr std::size_t kMostConnections = 8;  // to one picker: each carries a hundred streams or more

}  // namespace

void PickerLinks::close() {
  scope_ = nullptr;
  links_.clear();
}

Task<Result<std::shared_ptr<http::Http2Client>>> PickerLinks::get(const ExternalPicker& picker,
                                                                  async::Deadline deadline) {
  Error failure = unavailable("no replica of it is ready");
  for (const net::Address& address : picker.addresses) {
    auto found = co_await get_one({address, picker.tls}, deadline);
    if (found) {
      co_return found;
    }
    failure = std::move(found).error();
  }
  co_return std::unexpected(std::move(failure));
}

Task<Result<std::shared_ptr<http::Http2Client>>> PickerLinks::get_one(Key key, async::Deadline deadline) {
  auto& known = links_[key];
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
      LLMD_CO_TRY_VOID(co_await dial(key, link, deadline));
      continue;
    }
    link->changed.reset();
    const bool changed = co_await link->changed.wait_until(deadline);
    if (!changed) {
      co_return deadline_exceeded("connecting to {}: the deadline passed", key.first.to_string());
    }
  }
}

Task<Result<void>> PickerLinks::dial(Key key, std::shared_ptr<Link> link, async::Deadline deadline) {
  if (scope_ == nullptr) {
    co_return unavailable("the gateway is stopping");
  }
  if (link->clients.size() >= kMostConnections) {
    co_return unavailable("{} takes no more requests", key.first.to_string());
  }
  struct Dialling {
    Link& link;
    explicit Dialling(Link& dialled) : link(dialled) { link.dialling = true; }
    ~Dialling() {  // also when cancelled: others wait for it
      link.dialling = false;
      link.changed.set();
    }
  } dialling(*link);
  http::Http2ClientOptions options;
  options.connect_by = deadline;
  if (key.second) {
    const net::TlsClientOptions trust{.ca_pem = {}, .verify = false, .http2 = true};
    LLMD_CO_TRY(options.tls, net::make_tls_client(trust));
  }
  LLMD_CO_TRY(auto client, co_await http::Http2Client::connect(*scope_, key.first, std::move(options)));
  if (scope_ == nullptr) {
    co_return unavailable("the gateway is stopping");
  }
  link->clients.push_back(std::move(client));
  co_return Result<void>();
}

}  // namespace llmd::gateway
