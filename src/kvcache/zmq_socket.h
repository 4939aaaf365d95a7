// ZeroMQ sockets as this library uses them: never blocking, whole messages, bounds set on opening. libzmq is
// seen by zmq_socket.cc alone. A socket belongs to the thread that opened it; the context to all.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace llmd::kvcache {

class ZmqContext {
 public:
  ZmqContext();
  ~ZmqContext();  // after all its sockets
  ZmqContext(const ZmqContext&) = delete;
  void* handle() const { return handle_; }

 private:
  void* handle_;
};

struct ZmqLimits {
  int high_water_mark = 100'000;                   // messages per direction; past it the sender drops
  std::size_t max_message_bytes = 0;               // 0: unlimited; a peer that sends more is disconnected
  std::chrono::milliseconds reconnect_first{100};  // doubled up to reconnect_last
  std::chrono::milliseconds reconnect_last{5000};
};

class ZmqSocket {
 public:
  enum class Type { Publish, Subscribe, Router, Dealer };

  static Result<ZmqSocket> open(ZmqContext& context, Type type, const ZmqLimits& limits);
  ZmqSocket(ZmqSocket&&) noexcept;
  ZmqSocket& operator=(ZmqSocket&&) noexcept;
  ~ZmqSocket();

  Result<void> bind(const std::string& endpoint);
  Result<void> connect(const std::string& endpoint);
  Result<void> subscribe(std::string_view prefix);
  // Where bind() ended up, with the real port.
  std::string bound_endpoint() const;

  using Frames = std::vector<std::string>;
  // False when no message waits. Of a message with more than kMaxFrames the rest is dropped.
  bool receive(Frames& frames);
  // False when it cannot be queued now.
  bool send(const Frames& frames);
  // From now on connected() tells about the peers of this socket.
  Result<void> watch_connections(ZmqContext& context);
  // How many connections have come up since the last call.
  int connected();

  static constexpr std::size_t kMaxFrames = 16;

 private:
  friend class ZmqPoller;
  struct Closer {
    void operator()(void* socket) const;
  };
  using Handle = std::unique_ptr<void, Closer>;

  explicit ZmqSocket(Handle handle) : handle_(std::move(handle)) {}

  Handle handle_;
  Handle monitor_;
};

// Waits for messages on many sockets and file descriptors at once.
class ZmqPoller {
 public:
  ZmqPoller();
  ~ZmqPoller();
  void clear();
  void add(const ZmqSocket& socket);
  void add_connections(const ZmqSocket& socket);  // wakes when connected() has news
  void add_descriptor(int descriptor);
  void wait(std::chrono::milliseconds timeout);

 private:
  struct Items;
  std::unique_ptr<Items> items_;
};

}  // namespace llmd::kvcache
