#include "http/client_connection.h"

#include "http/upgraded_stream.h"

namespace llmd::http {

ClientConnection::ClientConnection(net::Address to, std::unique_ptr<net::Stream> connected)
    : address(std::move(to)), stream(std::move(connected)) {
  authority = address.to_string();
  sending = "sending the request to " + authority;
  awaiting_head = "response from " + authority;
  awaiting_body = "response body from " + authority;
}

// --- the pool

bool ClientPool::State::too_old(const ClientConnection& connection) const {
  return std::chrono::steady_clock::now() - connection.idle_since > options.idle_lifetime;
}

std::unique_ptr<ClientConnection> ClientPool::State::take(const net::Address& address) {
  const auto found = idle.find(address);
  if (found == idle.end()) {
    return nullptr;
  }
  auto& connections = found->second;
  while (!connections.empty()) {
    auto connection = std::move(connections.back());
    connections.pop_back();
    if (!too_old(*connection) && !connection->stream->is_stale()) {
      connection->reused = true;
      return connection;
    }
  }
  return nullptr;
}

void ClientPool::State::put(std::unique_ptr<ClientConnection> connection) {
  auto& connections = idle[connection->address];
  if (connections.size() >= options.max_idle_per_address) {
    return;
  }
  connection->stream->set_deadline(async::Deadline::never(), "peer");
  connection->buffer.shrink_when_empty();
  connection->idle_since = std::chrono::steady_clock::now();
  connections.push_back(std::move(connection));
  sweep_later();
}

void ClientPool::State::sweep_later() {
  if (sweeping) {
    return;
  }
  sweeping = true;
  sweeper.expires_after(options.idle_lifetime);
  sweeper.async_wait([weak = weak_from_this()](const async::ErrorCode& error) {
    const auto self = weak.lock();
    if (!error && self) {
      self->sweep();
    }
  });
}

void ClientPool::State::sweep() {
  sweeping = false;
  for (auto& [address, connections] : idle) {
    std::erase_if(connections, [this](const auto& connection) { return too_old(*connection); });
  }
  std::erase_if(idle, [](const auto& entry) { return entry.second.empty(); });
  if (!idle.empty()) {
    sweep_later();
  }
}

// --- one response

PooledResponse::PooledResponse(std::shared_ptr<PoolState> pool, std::unique_ptr<ClientConnection> connection,
                               Timeouts timeouts, Abort* abort)
    : pool_(std::move(pool)),
      connection_(std::move(connection)),
      timeouts_(timeouts),
      source_(connection_->buffer),
      abort_(abort) {
  if (abort_ != nullptr) {
    abort_->attach(connection_->stream.get());
  }
}

PooledResponse::~PooledResponse() {
  release();
}

std::unique_ptr<ClientConnection> PooledResponse::detach() {
  if (abort_ != nullptr) {
    abort_->attach(nullptr);
    reusable_ = reusable_ && !abort_->aborted();
  }
  return std::move(connection_);
}

void PooledResponse::release() {
  if (!connection_) {
    return;
  }
  auto connection = detach();
  if (answered_ && source_.done() && reusable_ && parsed_.keep_alive && connection->buffer.unread().empty()) {
    pool_->put(std::move(connection));
  }
}

Task<Result<void>> PooledResponse::read_head(std::string_view method, bool& answered) {
  ClientConnection& connection = *connection_;
  connection.stream->set_deadline(timeouts_.total.or_after(timeouts_.first_byte), connection.awaiting_head);
  while (true) {
    const auto size = scanner_.scan(connection.buffer.unread());
    if (!size) {
      co_return data_loss("{}: {}", connection.awaiting_head, size.error().reason);
    }
    if (*size) {
      const auto refusal = parse_response(connection.buffer.unread().substr(0, **size), method, parsed_);
      connection.buffer.consume(**size);
      scanner_.reset();
      if (refusal) {
        co_return data_loss("{}: {}", connection.awaiting_head, refusal->reason);
      }
      if (parsed_.head.status >= 200 || parsed_.head.status == 101) {
        source_.start(parsed_.framing);
        answered_ = true;
        co_return Result<void>();
      }
      continue;
    }
    if (connection.buffer.unread().size() > pool_->options.max_header_bytes) {
      co_return data_loss("{}: the head is larger than {} bytes", connection.awaiting_head,
                          pool_->options.max_header_bytes);
    }
    const std::span<char> room = connection.buffer.room(4096);
    LLMD_CO_TRY(const std::size_t received, co_await connection.stream->read_some(room));
    if (received == 0) {
      co_return unavailable("{}: the server closed the connection without an answer",
                            connection.awaiting_head);
    }
    answered = true;
    connection.buffer.added(received);
  }
}

std::unique_ptr<net::Stream> PooledResponse::upgrade() {
  auto connection = detach();
  std::string leftover(connection->buffer.unread());
  connection->stream->set_deadline(async::Deadline::never(), "peer");
  return std::make_unique<UpgradedStream>(std::move(connection->stream), std::move(leftover));
}

std::optional<std::uint64_t> PooledResponse::length() const {
  const auto kind = parsed_.framing.kind;
  if (kind == Framing::Kind::Chunked || kind == Framing::Kind::UntilClose) {
    return std::nullopt;
  }
  return parsed_.framing.length;
}

Result<std::string_view> PooledResponse::take_body() {
  if (!connection_) {
    return std::string_view();
  }
  const auto piece = source_.take();
  if (!piece) {
    return data_loss("{}: {}", connection_->awaiting_body, piece.error().reason);
  }
  return *piece;
}

bool PooledResponse::ready() {
  if (prefetched_.empty() && !source_.done()) {
    const auto piece = take_body();
    if (!piece) {
      return true;
    }
    prefetched_ = *piece;
  }
  return !prefetched_.empty() || source_.done();
}

Task<Result<std::string_view>> PooledResponse::next() {
  if (!prefetched_.empty()) {
    co_return std::exchange(prefetched_, std::string_view());
  }
  while (connection_ && !source_.done()) {
    LLMD_CO_TRY(const std::string_view piece, take_body());
    if (!piece.empty()) {
      co_return piece;
    }
    if (source_.done()) {
      break;
    }
    net::Stream& stream = *connection_->stream;
    stream.set_deadline(timeouts_.total.or_after(timeouts_.idle), connection_->awaiting_body);
    const std::span<char> room = source_.room();
    LLMD_CO_TRY(const std::size_t received, co_await stream.read_some(room));
    connection_->buffer.added(received);
    if (received == 0 && !source_.end_of_input()) {
      co_return unavailable("{}: the connection ended before the body", connection_->awaiting_body);
    }
  }
  release();
  co_return std::string_view();
}

}  // namespace llmd::http
