// Sends requests over HTTP/2: one connection per upstream address while it takes more streams, dialled when
// it is needed, shared by all requests of the loop. Plaintext by prior knowledge, or TLS.
//
// One loop. Works between open() and close().
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "async/event.h"
#include "async/scope.h"
#include "http/http2_client.h"

namespace llmd::http {

class Http2Pool final : public Client {
 public:
  // `tls` null: plaintext; otherwise made with ALPN "h2".
  explicit Http2Pool(Executor executor, std::shared_ptr<const net::TlsClient> tls = nullptr)
      : executor_(executor), tls_(std::move(tls)) {}

  // `scope` runs the connections and is closed after close().
  void open(async::Scope& scope) { scope_ = &scope; }
  void close();

  Task<Result<std::unique_ptr<ClientResponse>>> send(ClientRequest request) override;
  // A connection that takes another request. Unavailable, DeadlineExceeded.
  Task<Result<std::shared_ptr<Http2Client>>> get(net::Address address, async::Deadline deadline);

 private:
  struct Link {
    explicit Link(Executor executor) : changed(executor) {}
    std::vector<std::shared_ptr<Http2Client>> clients;
    bool dialling = false;
    async::Event changed;
  };
  Task<Result<void>> dial(net::Address address, std::shared_ptr<Link> link, async::Deadline deadline);

  Executor executor_;
  std::shared_ptr<const net::TlsClient> tls_;
  async::Scope* scope_ = nullptr;
  std::map<net::Address, std::shared_ptr<Link>> links_;
};

}  // namespace llmd::http
