// One request on an HTTP/2 stream, as the Exchange that handlers know from HTTP/1.1. Private to http.
#pragma once

#include "async/event.h"
#include "http/head_parser.h"
#include "http/http2_connection.h"
#include "http/server.h"

namespace llmd::http {

// Shared by the stream, which reports, and the task of the handler, which works.
class Http2Exchange final : public Exchange, public StreamHandler, private BodyReader {
 public:
  Http2Exchange(const ServerOptions& options, Http2Stream& stream, net::Address peer, Executor executor);

  // The task: runs the handler and ends the stream.
  static Task<void> serve(std::shared_ptr<Http2Exchange> self, const Handler& handler);

  using Exchange::respond;
  const RequestHead& request() const override { return request_; }
  BodyReader& body() override { return *this; }
  net::Address peer() const override { return peer_; }
  Task<Result<void>> respond(ResponseHead head, std::string_view body) override;
  Task<Result<void>> start(ResponseHead head, std::string_view first) override;
  Task<Result<void>> write(std::string_view bytes) override;
  Task<Result<void>> finish(std::string_view last) override;
  bool started() const override { return started_; }
  void set_trailers(Headers trailers) override { trailers_out_ = std::move(trailers); }
  void lift_body_limits() override { limited_ = false; }
  Task<void> client_gone() override;
  void on_client_gone(std::function<void()> callback) override;
  std::unique_ptr<net::Stream> upgrade() override { return nullptr; }  // there is no 101 in HTTP/2

 private:
  // StreamHandler
  void on_data(std::string_view bytes) override;
  void on_trailers(Headers trailers) override { trailers_in_ = std::move(trailers); }
  void on_end() override;
  void on_drained() override { changed_.set(); }
  void on_closed(bool in_order) override;
  // BodyReader
  Task<Result<std::string_view>> next() override;
  std::optional<std::uint64_t> length() const override;
  bool ready() override { return !arrived_.empty() || input_ended_ || stream_ == nullptr; }
  bool ended() const override { return arrived_.empty() && input_ended_; }
  const Headers* trailers() const override { return ended() && trailers_in_ ? &*trailers_in_ : nullptr; }

  Task<void> refuse(Refusal refusal);
  Task<Result<void>> begin(ResponseHead head, std::optional<std::uint64_t> length, bool end);
  // Flushes; waits until little is queued, or, after the end, nothing.
  Task<Result<void>> drained();
  void give_back();

  const ServerOptions& options_;
  Http2Stream* stream_;  // null: closed
  RequestHead request_;
  net::Address peer_;
  async::Event changed_;
  async::Event gone_event_;
  std::function<void()> on_gone_;

  std::string arrived_;
  std::string current_;  // what next() returned
  std::size_t lent_ = 0;
  std::uint64_t received_ = 0;
  bool input_ended_ = false;
  std::optional<Headers> trailers_in_;
  bool limited_ = true;  // in size and time
  bool continue_due_ = false;
  std::optional<Refusal> body_failure_;

  bool started_ = false;
  bool finished_ = false;
  bool bodyless_ = false;
  Headers trailers_out_;
};

}  // namespace llmd::http
