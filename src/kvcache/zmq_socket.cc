#include "kvcache/zmq_socket.h"

#include <zmq.h>

#include <atomic>
#include <cstring>

#include "base/assert.h"

namespace llmd::kvcache {
namespace {

Error zmq_error(std::string_view what) {
  Error error = system_error(zmq_errno(), what);
  // libzmq has error numbers of its own that strerror does not know.
  error.message = fmt::format("{}: {}", what, zmq_strerror(zmq_errno()));
  return error;
}

int zmq_type(ZmqSocket::Type type) {
  switch (type) {
    case ZmqSocket::Type::Publish:
      return ZMQ_PUB;
    case ZmqSocket::Type::Subscribe:
      return ZMQ_SUB;
    case ZmqSocket::Type::Router:
      return ZMQ_ROUTER;
    case ZmqSocket::Type::Dealer:
      return ZMQ_DEALER;
  }
  LLMD_ASSERT(false, "every type has a number");
}

struct Message {
  zmq_msg_t raw;
  Message() { zmq_msg_init(&raw); }
  ~Message() { zmq_msg_close(&raw); }
  Message(const Message&) = delete;
  std::string_view bytes() { return {static_cast<const char*>(zmq_msg_data(&raw)), zmq_msg_size(&raw)}; }
};

}  // namespace

ZmqContext::ZmqContext() : handle_(zmq_ctx_new()) {
  LLMD_ASSERT(handle_ != nullptr, "memory for a ZeroMQ context");
  zmq_ctx_set(handle_, ZMQ_MAX_SOCKETS, 16'384);
}

ZmqContext::~ZmqContext() {
  zmq_ctx_term(handle_);
}

void ZmqSocket::Closer::operator()(void* socket) const {
  zmq_close(socket);
}

ZmqSocket::ZmqSocket(ZmqSocket&&) noexcept = default;
ZmqSocket& ZmqSocket::operator=(ZmqSocket&&) noexcept = default;
ZmqSocket::~ZmqSocket() = default;

Result<ZmqSocket> ZmqSocket::open(ZmqContext& context, Type type, const ZmqLimits& limits) {
  Handle handle(zmq_socket(context.handle(), zmq_type(type)));
  if (!handle) {
    return zmq_error("opening a ZeroMQ socket");
  }
  const auto set = [&](int option, int value) { zmq_setsockopt(handle.get(), option, &value, sizeof value); };
  set(ZMQ_LINGER, 0);
  set(ZMQ_IPV6, 1);
  set(ZMQ_SNDHWM, limits.high_water_mark);
  set(ZMQ_RCVHWM, limits.high_water_mark);
  set(ZMQ_RECONNECT_IVL, static_cast<int>(limits.reconnect_first.count()));
  set(ZMQ_RECONNECT_IVL_MAX, static_cast<int>(limits.reconnect_last.count()));
  set(ZMQ_TCP_KEEPALIVE, 1);
  set(ZMQ_TCP_KEEPALIVE_IDLE, 30);
  set(ZMQ_TCP_KEEPALIVE_INTVL, 10);
  set(ZMQ_TCP_KEEPALIVE_CNT, 3);
  if (limits.max_message_bytes > 0) {
    const auto bytes = static_cast<std::int64_t>(limits.max_message_bytes);
    zmq_setsockopt(handle.get(), ZMQ_MAXMSGSIZE, &bytes, sizeof bytes);
  }
  return ZmqSocket(std::move(handle));
}

Result<void> ZmqSocket::bind(const std::string& endpoint) {
  if (zmq_bind(handle_.get(), endpoint.c_str()) != 0) {
    return zmq_error(fmt::format("binding {}", endpoint));
  }
  return {};
}

Result<void> ZmqSocket::connect(const std::string& endpoint) {
  if (zmq_connect(handle_.get(), endpoint.c_str()) != 0) {
    return zmq_error(fmt::format("connecting to {}", endpoint));
  }
  return {};
}

Result<void> ZmqSocket::subscribe(std::string_view prefix) {
  if (zmq_setsockopt(handle_.get(), ZMQ_SUBSCRIBE, prefix.data(), prefix.size()) != 0) {
    return zmq_error("subscribing");
  }
  return {};
}

std::string ZmqSocket::bound_endpoint() const {
  char text[256] = {};
  std::size_t size = sizeof text;
  zmq_getsockopt(handle_.get(), ZMQ_LAST_ENDPOINT, text, &size);
  // IPv4 on an IPv6 socket comes as tcp://[::ffff:10.0.0.1]:5557.
  std::string endpoint = text;
  constexpr std::string_view kMapped = "[::ffff:";
  const std::size_t start = endpoint.find(kMapped);
  const std::size_t end = endpoint.find(']');
  if (start != std::string::npos && end != std::string::npos && endpoint.find('.', start) < end) {
    endpoint.erase(end, 1);
    endpoint.erase(start, kMapped.size());
  }
  return endpoint;
}

bool ZmqSocket::receive(Frames& frames) {
  frames.clear();
  bool more = true;
  while (more) {
    Message message;
    // Frames after the first are there already: messages arrive whole.
    if (zmq_msg_recv(&message.raw, handle_.get(), ZMQ_DONTWAIT) < 0) {
      return false;
    }
    more = zmq_msg_more(&message.raw) != 0;
    if (frames.size() < kMaxFrames) {
      frames.emplace_back(message.bytes());
    }
  }
  return true;
}

bool ZmqSocket::send(const Frames& frames) {
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const int more = i + 1 < frames.size() ? ZMQ_SNDMORE : 0;
    if (zmq_send(handle_.get(), frames[i].data(), frames[i].size(), ZMQ_DONTWAIT | more) < 0) {
      return false;
    }
  }
  return true;
}

Result<void> ZmqSocket::watch_connections(ZmqContext& context) {
  static std::atomic<std::uint64_t> next = 0;
  const std::string address = fmt::format("inproc://connections-{}", next++);
  if (zmq_socket_monitor(handle_.get(), address.c_str(), ZMQ_EVENT_HANDSHAKE_SUCCEEDED) != 0) {
    return zmq_error("watching connections");
  }
  monitor_.reset(zmq_socket(context.handle(), ZMQ_PAIR));
  if (!monitor_ || zmq_connect(monitor_.get(), address.c_str()) != 0) {
    return zmq_error("watching connections");
  }
  return {};
}

int ZmqSocket::connected() {
  int count = 0;
  while (monitor_) {
    Message event;
    Message address;
    if (zmq_msg_recv(&event.raw, monitor_.get(), ZMQ_DONTWAIT) < 0 ||
        zmq_msg_recv(&address.raw, monitor_.get(), ZMQ_DONTWAIT) < 0) {
      break;
    }
    std::uint16_t kind = 0;
    std::memcpy(&kind, event.bytes().data(), std::min(sizeof kind, event.bytes().size()));
    count += kind == ZMQ_EVENT_HANDSHAKE_SUCCEEDED ? 1 : 0;
  }
  return count;
}

struct ZmqPoller::Items {
  std::vector<zmq_pollitem_t> list;
};

ZmqPoller::ZmqPoller() : items_(std::make_unique<Items>()) {}
ZmqPoller::~ZmqPoller() = default;

void ZmqPoller::clear() {
  items_->list.clear();
}
void ZmqPoller::add(const ZmqSocket& socket) {
  items_->list.push_back({socket.handle_.get(), 0, ZMQ_POLLIN, 0});
}
void ZmqPoller::add_connections(const ZmqSocket& socket) {
  if (socket.monitor_) {
    items_->list.push_back({socket.monitor_.get(), 0, ZMQ_POLLIN, 0});
  }
}
void ZmqPoller::add_descriptor(int descriptor) {
  items_->list.push_back({nullptr, descriptor, ZMQ_POLLIN, 0});
}
void ZmqPoller::wait(std::chrono::milliseconds timeout) {
  zmq_poll(items_->list.data(), static_cast<int>(items_->list.size()), timeout.count());
}

}  // namespace llmd::kvcache
