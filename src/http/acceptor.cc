#include "http/acceptor.h"

#include "base/assert.h"
#include "base/log.h"

namespace llmd::http {

Acceptor::Acceptor(async::EventLoop& loop, Options options, Serve serve)
    : loop_(loop), options_(std::move(options)), serve_(std::move(serve)), changed_(loop.executor()) {}

Result<net::Address> Acceptor::listen(const net::Address& address) {
  LLMD_TRY(listener_,
           net::Listener::open(loop_, address, {.tls = options_.tls, .reuse_port = options_.reuse_port}));
  return listener_->address();
}

Acceptor::Listed::Listed(Acceptor& acceptor, AskToEnd ask)
    : acceptor_(acceptor), position_(acceptor.listed_.insert(acceptor.listed_.end(), std::move(ask))) {
  if (acceptor.draining_) {
    (*position_)();
  }
}

Task<void> Acceptor::serve(std::unique_ptr<net::Stream> stream) {
  struct Open {
    explicit Open(Acceptor& of) : acceptor(of) { ++acceptor.open_; }
    Open(const Open&) = delete;
    ~Open() {
      --acceptor.open_;
      acceptor.changed_.set();
    }
    Acceptor& acceptor;
  } open(*this);
  const auto ready = co_await net::handshake(*stream, async::Deadline::after(options_.handshake_time));
  if (ready) {
    co_await serve_(std::move(stream));
  }
}

Task<void> Acceptor::accept(async::Scope& spawned) {
  while (!draining_) {
    if (open_ >= options_.max_connections) {
      changed_.reset();
      co_await changed_.wait();
      continue;
    }
    auto stream = co_await listener_->accept();
    if (stream) {
      spawned.spawn("connection", serve(std::move(*stream)));
      continue;
    }
    if (draining_ || stream.error().kind == ErrorKind::Cancelled) {
      break;
    }
    log::warning("cannot accept connections", {{"error", stream.error().text()}});
    co_await async::sleep(std::chrono::milliseconds(100));  // out of descriptors: waiting may free some
  }
}

Task<void> Acceptor::run() {
  LLMD_ASSERT(listener_ != nullptr, "listen() comes before run()");
  auto body = [this](async::Scope& scope) -> Task<void> {
    scope_ = &scope;
    co_await accept(scope);
    co_await scope.join();
  };
  struct Closing {
    Acceptor& acceptor;
    ~Closing() {
      acceptor.scope_ = nullptr;
      acceptor.listener_->close();
    }
  } closing{*this};
  co_await async::with_scope(loop_.executor(), body);
}

Task<void> Acceptor::drain(async::Deadline deadline) {
  draining_ = true;
  changed_.set();
  if (listener_) {
    listener_->close();
  }
  for (const AskToEnd& ask : listed_) {
    ask();
  }
  while (open_ > 0) {
    changed_.reset();
    const bool changed = co_await changed_.wait_until(deadline);
    if (!changed && scope_ != nullptr) {
      scope_->cancel();
      break;
    }
  }
}

}  // namespace llmd::http
