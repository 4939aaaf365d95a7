// The client's connection, shared by those who use it and the task that runs it. Private to http.
#pragma once

#include "http/http2_client.h"
#include "http/http2_connection.h"

namespace llmd::http {

class Http2ClientConnection final : public Http2Client {
 public:
  struct Shared {
    Shared(std::unique_ptr<net::Stream> stream, net::Address to, const Http2ClientOptions& options,
           Executor executor);
    Http2Connection connection;
    net::Address address;
    std::string scheme;
    bool over = false;
  };

  explicit Http2ClientConnection(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  ~Http2ClientConnection() override;
  Task<Result<std::unique_ptr<ClientResponse>>> send(ClientRequest request) override;
  Result<std::unique_ptr<Http2Call>> begin(RequestHead head, Timeouts timeouts) override;
  bool usable() const override { return !over() && shared_->connection.session().can_open(); }
  bool over() const override;

  // Null with an error when the server takes no more streams.
  Result<Http2Stream*> open(RequestHead head, std::shared_ptr<StreamHandler> handler, bool end);
  Executor executor() const { return shared_->connection.executor(); }
  const net::Address& address() const { return shared_->address; }

 private:
  std::shared_ptr<Shared> shared_;
};

}  // namespace llmd::http
