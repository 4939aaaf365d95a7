// gRPC calls over one Http2Client. One loop.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/grpc_status.h"
#include "http/http2_client.h"

namespace llmd::http {

struct GrpcCallOptions {
  Headers metadata;
  async::Deadline deadline = async::Deadline::never();  // told to the server as grpc-timeout
  std::size_t max_message_bytes = 64 * 1024 * 1024;
};

// A call with any number of messages both ways. Destroying it before its end cancels it.
class GrpcStream {
 public:
  virtual ~GrpcStream() = default;
  // Waits while the server does not read. Errors: the call is over; receive() tells why.
  virtual Task<Result<void>> send(std::string_view message) = 0;
  virtual void half_close() = 0;
  // The next message, valid until the next call; nullopt: the server ended the call with OK. Any other status
  // is the error.
  virtual Task<Result<std::optional<std::string_view>>> receive() = 0;
};

// `path` as "/package.Service/Method".
Result<std::unique_ptr<GrpcStream>> grpc_open(Http2Client& client, std::string path,
                                              GrpcCallOptions options = {});
// One message there, one back.
Task<Result<std::string>> grpc_call(Http2Client& client, std::string path, std::string_view message,
                                    GrpcCallOptions options = {});

}  // namespace llmd::http
