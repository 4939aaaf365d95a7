// A connection of the client pool, and the response that is being read from it. Private to http.
#pragma once

#include <list>
#include <map>

#include "async/asio.h"
#include "http/body_source.h"
#include "http/client.h"

namespace llmd::http {

struct ClientConnection {
  ClientConnection(net::Address to, std::unique_ptr<net::Stream> connected);

  net::Address address;
  std::string authority;  // the Host field
  std::unique_ptr<net::Stream> stream;
  ReadBuffer buffer;
  std::string out;  // the serialised request head, reused
  bool reused = false;
  TimePoint idle_since;
  // What its waits are called in errors.
  std::string sending;
  std::string awaiting_head;
  std::string awaiting_body;
};

// Idle connections by address, the youngest last.
struct ClientPool::State : std::enable_shared_from_this<ClientPool::State> {
  State(async::EventLoop& loop, ClientOptions chosen)
      : options(std::move(chosen)), sweeper(loop.executor()) {}

  std::unique_ptr<ClientConnection> take(const net::Address& address);
  void put(std::unique_ptr<ClientConnection> connection);
  void sweep_later();
  void sweep();
  bool too_old(const ClientConnection& connection) const;

  ClientOptions options;
  std::map<net::Address, std::vector<std::unique_ptr<ClientConnection>>> idle;
  async::Timer sweeper;
  bool sweeping = false;
};

// Private access for the free functions of client.cc.
using PoolState = ClientPool::State;

class PooledResponse final : public ClientResponse, private BodyReader {
 public:
  PooledResponse(std::shared_ptr<PoolState> pool, std::unique_ptr<ClientConnection> connection,
                 Timeouts timeouts, Abort* abort);
  ~PooledResponse() override;

  // Reads heads until one is final. `answered` tells whether any byte came.
  Task<Result<void>> read_head(std::string_view method, bool& answered);
  // The connection cannot carry another request, whatever the response says.
  void not_reusable() { reusable_ = false; }

  const ResponseHead& head() const override { return parsed_.head; }
  BodyReader& body() override { return *this; }
  std::unique_ptr<net::Stream> upgrade() override;

 private:
  Task<Result<std::string_view>> next() override;
  std::optional<std::uint64_t> length() const override;
  bool ready() override;
  bool ended() const override { return source_.done() && prefetched_.empty(); }
  const Headers* trailers() const override { return ended() ? source_.trailers() : nullptr; }
  Result<std::string_view> take_body();
  void release();
  std::unique_ptr<ClientConnection> detach();

  std::shared_ptr<PoolState> pool_;
  std::unique_ptr<ClientConnection> connection_;
  Timeouts timeouts_;
  HeadScanner scanner_;
  ParsedResponse parsed_;
  BodySource source_;
  std::string_view prefetched_;
  bool answered_ = false;  // the head is there: only then the end of the body means anything
  bool reusable_ = true;
  Abort* abort_;
};

}  // namespace llmd::http
