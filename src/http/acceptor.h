// The listening half of a server: accepts connections on one loop, knows those that live, and lets them
// finish. Private to http: Server and GrpcServer differ only in what they do with a connection.
#pragma once

#include <functional>
#include <list>
#include <memory>

#include "async/event.h"
#include "async/scope.h"
#include "net/stream.h"

namespace llmd::http {

class Acceptor {
 public:
  struct Options {
    std::shared_ptr<const net::TlsServer> tls;  // null: plaintext
    bool reuse_port = false;
    std::size_t max_connections = 10'000;  // more wait in the backlog
    Duration handshake_time = std::chrono::seconds(10);
  };
  // Serves a connection whose handshake is done, to its end.
  using Serve = std::function<Task<void>(std::unique_ptr<net::Stream>)>;
  // Asks a connection for an end: no new requests; those that run may finish.
  using AskToEnd = std::function<void()>;

  Acceptor(async::EventLoop& loop, Options options, Serve serve);
  Acceptor(const Acceptor&) = delete;

  Result<net::Address> listen(const net::Address& address);
  // Until cancelled or drained, and every connection has ended. Then the listener is closed.
  Task<void> run();
  // The listener closes, every connection is asked to end; what still lives at the deadline is cancelled.
  Task<void> drain(async::Deadline deadline);
  const bool& draining() const { return draining_; }

  // While it lives, drain() asks this connection to end. At once, when draining has begun already.
  class Listed {
   public:
    Listed(Acceptor& acceptor, AskToEnd ask);
    Listed(const Listed&) = delete;
    ~Listed() { acceptor_.listed_.erase(position_); }

   private:
    Acceptor& acceptor_;
    std::list<AskToEnd>::iterator position_;
  };
  std::size_t connections() const { return listed_.size(); }

 private:
  Task<void> accept(async::Scope& spawned);
  Task<void> serve(std::unique_ptr<net::Stream> stream);

  async::EventLoop& loop_;
  Options options_;
  Serve serve_;
  std::unique_ptr<net::Listener> listener_;
  std::list<AskToEnd> listed_;
  std::size_t open_ = 0;           // connections, with those that still shake hands
  async::Scope* scope_ = nullptr;  // of run(), while it runs
  bool draining_ = false;
  async::Event changed_;  // a connection ended, or draining began
};

}  // namespace llmd::http
