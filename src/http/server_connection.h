// One connection of a server: reads requests in order, runs the handler for each and writes its answer. It is
// the Exchange of the request in hand. Private to http.
#pragma once

#include "async/waiter.h"
#include "http/body_source.h"
#include "http/server.h"

namespace llmd::http {

class ServerConnection final : public Exchange, private BodyReader {
 public:
  struct Context {
    const ServerOptions& options;
    const Handler& handler;
    const bool& draining;
  };
  ServerConnection(Context context, std::unique_ptr<net::Stream> stream, Executor executor);

  Task<void> serve();
  void begin_drain() {  // no new requests; the one that runs may finish
    if (idle_) {
      stream_->close();
    }
  }
  // After serve(): the client began with HTTP/2's preface, which is among the unread bytes.
  bool found_http2() const { return found_http2_; }
  std::string take_unread();
  std::unique_ptr<net::Stream> take_stream() { return std::move(stream_); }

  // Exchange
  using Exchange::respond;
  const RequestHead& request() const override { return request_.head; }
  BodyReader& body() override { return *this; }
  net::Address peer() const override { return peer_; }
  Task<Result<void>> respond(ResponseHead head, std::string_view body) override;
  Task<Result<void>> start(ResponseHead head, std::string_view first) override;
  Task<Result<void>> write(std::string_view bytes) override;
  Task<Result<void>> finish(std::string_view last) override;
  bool started() const override { return started_; }
  void set_trailers(Headers trailers) override;
  Task<void> client_gone() override;
  void on_client_gone(std::function<void()> callback) override;
  std::unique_ptr<net::Stream> upgrade() override;

 private:
  // An unread request body up to this size is read away to keep the connection; a larger one closes it.
  static constexpr std::uint64_t kWorthDraining = 256 * 1024;

  // BodyReader
  Task<Result<std::string_view>> next() override;
  std::optional<std::uint64_t> length() const override;
  bool ready() override;
  bool keep() override { return prefetched_.empty() && source_.keep(); }
  bool ended() const override { return source_.done() && prefetched_.empty(); }
  const Headers* trailers() const override { return ended() ? source_.trailers() : nullptr; }

  void reset_exchange();
  Task<bool> receive_head();
  Task<bool> read_more_of_head(bool head_began);
  bool is_http2_preface(std::size_t size) const;
  Task<bool> accept_head(std::size_t size);
  Task<void> handle();
  Task<bool> clear_request_body();
  Task<void> refuse(Refusal refusal);
  Task<void> answer_for_handler();
  Task<void> linger();

  Result<std::string_view> take_body();
  void begin_response(const ResponseHead& head, std::optional<std::uint64_t> length);
  Task<Result<void>> send(std::span<const std::string_view> pieces);
  Task<Result<void>> send_body_piece(std::string_view head, std::string_view bytes, bool last);
  void read_ahead();
  void read_ahead_done(Result<std::size_t> size);
  void take_what_was_read_ahead();
  void lost_client();

  Context context_;
  std::unique_ptr<net::Stream> stream_;
  const net::Address peer_;
  ReadBuffer buffer_;
  HeadScanner scanner_;

  // The request in hand.
  ParsedRequest request_;
  BodySource source_;
  std::string_view prefetched_;
  std::optional<Refusal> body_failure_;
  bool continue_due_ = false;

  // Its response.
  std::string out_;
  bool started_ = false;
  bool finished_ = false;
  bool chunked_ = false;
  bool bodyless_ = false;
  std::string body_end_;  // with trailers; empty: there are none
  bool keep_alive_ = true;
  std::optional<std::uint64_t> announced_left_;  // of a response with Content-Length

  // The client.
  bool idle_ = true;
  bool found_http2_ = false;
  bool gone_ = false;
  bool watching_ = false;
  bool reading_ahead_ = false;
  // Apart from the buffer, which the handler may hold views of until it is done.
  std::unique_ptr<char[]> ahead_;
  std::size_t ahead_size_ = 0;
  async::WaitList changed_;  // the read-ahead ended, or the client is gone
  async::WaitList leavers_;  // who waits in client_gone()
  std::function<void()> on_gone_;
};

}  // namespace llmd::http
