// One stream of an HTTP/2 connection, and who is told about it. No I/O: what is queued here leaves when the
// connection is flushed. One loop. Private to http and to those who speak gRPC.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "http/http2_batch.h"
#include "http/message.h"

namespace llmd::http {

class Http2Session;
class Http2Stream;

// RFC 9113, section 7.
enum class Http2Error : std::uint32_t {
  None = 0,
  Protocol = 1,
  Internal = 2,
  FlowControl = 3,
  RefusedStream = 7,
  Cancel = 8,
  EnhanceYourCalm = 11,
};

// Called while bytes of the connection are being read (or sent: on_drained, on_closed). May use the stream,
// must not feed or flush the connection.
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  virtual void on_response(ResponseHead) {}  // client side; informational responses are not told
  // Every byte has to be given back by Http2Stream::consumed(), now or later: that opens the window.
  virtual void on_data(std::string_view bytes) = 0;
  virtual void on_trailers(Headers) {}
  virtual void on_end() = 0;    // the peer has said everything
  virtual void on_drained() {}  // what is queued fell below kLowMark, or to nothing
  // The connection is about to send something of this stream: the last moment to add to it. Comes for streams
  // with bytes in the queue, and after Http2Stream::send_later().
  virtual void on_sending() {}
  // The last call. `in_order`: both sides had ended; otherwise reset, or the connection was lost.
  virtual void on_closed(bool in_order) = 0;
};

class Http2Stream {
 public:
  static constexpr std::size_t kLowMark = 64 * 1024;

  Http2Stream(Http2Session& session, std::int32_t id) : session_(session), id_(id) {}
  Http2Stream(const Http2Stream&) = delete;

  std::int32_t id() const { return id_; }
  RequestHead take_request() { return std::move(request_); }  // server side; once
  bool oversized() const { return oversized_; }               // the head was larger than allowed and is cut

  // Server side: the head of the answer. Names are written in lower case; fields that belong to HTTP/1
  // connections are left out. `end`: nothing follows.
  void respond(const ResponseHead& head, bool end);
  void send_continue();
  // Queues a copy.
  void send(std::string_view bytes) { send(KeptBytes{bytes}); }
  // Queues the bytes, copied only where nobody keeps them.
  void send(KeptBytes piece);
  // The handler will send when on_sending() asks.
  void send_later();
  void end();
  void end(Headers trailers);
  void reset(Http2Error error);
  // Once our end has been sent, the peer may stop, too: what else it says is not wanted (RFC 9113, 8.1).
  void refuse_rest();
  // Opens the peer's window by what has been worked off.
  void consumed(std::size_t bytes);
  // Sends what is queued, unless the connection is just reading and does so afterwards anyway.
  void flush();

  std::size_t queued() const { return out_.size(); }
  bool ended() const { return ended_; }         // end() was called
  bool all_sent() const { return end_taken_; }  // the end has been handed to the connection
  bool peer_ended() const { return peer_ended_; }

 private:
  friend class Http2Session;
  friend struct Http2Callbacks;

  void wake();

  Http2Session& session_;
  std::int32_t id_;
  std::list<Http2Stream>::iterator position_;
  std::shared_ptr<StreamHandler> handler_;

  // What arrives.
  RequestHead request_;
  ResponseHead response_;
  Headers trailers_;
  std::string cookies_;
  std::string authority_;
  std::size_t header_bytes_ = 0;
  std::size_t unconsumed_ = 0;
  bool head_complete_ = false;
  bool oversized_ = false;
  bool peer_ended_ = false;

  // What leaves.
  Http2Queue out_;
  Headers trailers_out_;
  bool has_trailers_out_ = false;
  bool deferred_ = false;
  bool ended_ = false;
  bool end_taken_ = false;
  bool end_sent_ = false;
  bool rest_refused_ = false;
  bool above_mark_ = false;
};

}  // namespace llmd::http
