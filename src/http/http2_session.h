// HTTP/2 without I/O: bytes in, stream events out, bytes to send out. Both sides. Around nghttp2, which does
// the framing, HPACK, flow control and the checks of RFC 9113; limits against floods are set here.
// One loop. Private to http and to those who speak gRPC.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "base/result.h"
#include "http/http2_stream.h"

struct nghttp2_session;

namespace llmd::http {

struct Http2Limits {
  std::uint32_t max_streams = 256;                    // at the same time, opened by the peer
  std::uint32_t stream_window = 256 * 1024;           // bytes of one stream that wait to be worked off
  std::uint32_t connection_window = 8 * 1024 * 1024;  // of all streams together
  std::size_t max_header_bytes = 64 * 1024;
  // Streams the peer may open and reset (CVE-2023-44487), and control frames without purpose: more than this
  // ends the connection.
  std::uint64_t resets_at_once = 1000;
  std::uint64_t resets_per_second = 200;
  std::uint64_t control_frames_at_once = 10000;
  std::uint64_t control_frames_per_second = 1000;
};

class Http2Session {
 public:
  enum class Side { Server, Client };
  // Server: a request head is complete. Null refuses the stream.
  using Accept = std::function<std::shared_ptr<StreamHandler>(Http2Stream&)>;

  Http2Session(Side side, const Http2Limits& limits, Accept accept = {});
  ~Http2Session();  // every stream that is left hears on_closed()
  Http2Session(const Http2Session&) = delete;

  // Errors: the peer does not speak HTTP/2, or floods. What is to be sent then says why.
  Result<void> feed(std::string_view bytes);
  // Adds what is to be sent now, about `limit` bytes at most. False: there was nothing.
  bool collect(Http2Batch& out, std::size_t limit);
  bool wants_write() const;
  // Nothing will be read or written any more.
  bool finished() const;

  // Client: opens a stream. Null when the server accepts no more (limit, GOAWAY, lost).
  Http2Stream* open(const RequestHead& head, std::string_view scheme, std::shared_ptr<StreamHandler> handler,
                    bool end);
  // Client: open() would work, as far as known here.
  bool can_open() const;

  void ping();
  // Tells the peer to open no more streams; those that run go on. The first step warns, the second, one
  // round trip later, refuses (RFC 9113, section 6.8).
  void announce_shutdown();
  void refuse_new_streams();
  bool shutting_down() const { return shutting_down_; }
  std::size_t streams() const { return streams_.size(); }
  // Everything that still runs is over: the connection was lost.
  void lose();
  // Called by Http2Stream::flush(), not while feeding.
  void set_flush(std::function<void()> flush) { flush_ = std::move(flush); }

 private:
  friend class Http2Stream;
  friend struct Http2Callbacks;

  Http2Stream& add_stream(std::int32_t id);
  void close(Http2Stream& stream, bool in_order);
  bool floods();

  Side side_;
  Http2Limits limits_;
  Accept accept_;
  std::function<void()> flush_;
  nghttp2_session* session_ = nullptr;
  std::list<Http2Stream> streams_;
  Http2Batch* out_ = nullptr;  // while collecting
  std::size_t out_limit_ = 0;
  bool feeding_ = false;
  bool shutting_down_ = false;
  bool peer_goes_away_ = false;
  bool lost_ = false;
  double control_frames_ = 0;  // a bucket that leaks
  std::int64_t leaked_at_ = 0;
};

}  // namespace llmd::http
