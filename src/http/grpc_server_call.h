// One call of a gRPC server on its HTTP/2 stream. Private to http.
#pragma once

#include "async/asio.h"
#include "http/grpc_frame.h"
#include "http/grpc_server.h"
#include "http/http2_connection.h"

namespace llmd::http {

class GrpcServerCall final : public GrpcCall,
                             public StreamHandler,
                             public std::enable_shared_from_this<GrpcServerCall> {
 public:
  GrpcServerCall(Http2Stream& stream, Http2Connection& connection, const GrpcServerOptions& options,
                 std::size_t& calls);
  ~GrpcServerCall() override { --calls_; }

  // Finds the method and begins. Answers by itself when the request is none.
  void begin(const GrpcMethod* method);

  using GrpcCall::send;
  const RequestHead& request() const override { return request_; }
  net::Address peer() const override { return connection_.stream().peer_address(); }
  void send(std::span<const KeptBytes> pieces) override;
  void send_later() override;
  std::shared_ptr<const void> keep_message() override { return deframer_.keep(); }
  void finish(GrpcStatus status) override;
  void flush() override;
  std::size_t queued() const override { return stream_ == nullptr ? 0 : stream_->queued(); }
  async::Scope& tasks() override { return connection_.tasks(); }
  Executor executor() const override { return connection_.executor(); }

 private:
  void on_data(std::string_view bytes) override;
  void on_end() override;
  void on_drained() override;
  void on_sending() override;
  void on_closed(bool in_order) override;
  void refuse(int http_status);
  void fail(GrpcStatus status);
  void begin_answer();
  void start_timer(Duration timeout);
  void release_handler();
  void open_window();

  Http2Stream* stream_;
  Http2Connection& connection_;
  const GrpcServerOptions& options_;  // of the server, which outlives the connection
  std::size_t& calls_;
  RequestHead request_;
  GrpcDeframer deframer_;
  std::unique_ptr<GrpcHandler> handler_;
  std::unique_ptr<async::Timer> timer_;
  std::size_t owed_ = 0;  // bytes whose window stays closed because the peer does not read
  bool head_sent_ = false;
  bool finished_ = false;
};

}  // namespace llmd::http
