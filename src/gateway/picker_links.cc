#include "gateway/picker_links.h"

#include "base/assert.h"
#include "net/tls_options.h"

namespace llmd::gateway {
namespace {

// Pickers make certificates of their own: who answers is known by the Service that was resolved.
std::shared_ptr<const net::TlsClient> any_certificate() {
  auto made = net::make_tls_client({.ca_pem = {}, .verify = false, .http2 = true});
  LLMD_ASSERT(made.has_value(), "a client that trusts everybody needs nothing");
  return std::move(*made);
}

}  // namespace

PickerLinks::PickerLinks(Executor executor) : plain_(executor), tls_(executor, any_certificate()) {}

void PickerLinks::open(async::Scope& scope) {
  plain_.open(scope);
  tls_.open(scope);
}

void PickerLinks::close() {
  plain_.close();
  tls_.close();
}

Task<Result<std::shared_ptr<http::Http2Client>>> PickerLinks::get(const ExternalPicker& picker,
                                                                  async::Deadline deadline) {
  Error failure = unavailable("no replica of it is ready");
  for (const net::Address& address : picker.addresses) {
    auto found = co_await (picker.tls ? tls_ : plain_).get(address, deadline);
    if (found) {
      co_return found;
    }
    failure = std::move(found).error();
  }
  co_return std::unexpected(std::move(failure));
}

}  // namespace llmd::gateway
