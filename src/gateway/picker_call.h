// One request's conversation with an external endpoint picker: ext_proc as Envoy speaks it, with both bodies
// FULL_DUPLEX_STREAMED. First pick(), then, while the answer comes, PickerAnswer uses the stream. Private to
// gateway; one loop.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "envoy/ext_proc_client.h"
#include "http/grpc_client.h"
#include "http/message.h"
#include "net/address.h"

namespace llmd::gateway {

// The answer that a picker gives the client itself.
struct ImmediateAnswer {
  http::ResponseHead head;
  std::string body;
};

struct Picked {
  std::optional<ImmediateAnswer> refused;  // set: the rest is empty
  std::vector<net::Address> destinations;  // the first, then those to try when it cannot be reached
  http::RequestHead head;                  // as the picker changed it
  std::optional<std::string> body;         // nullopt: the same as before
};

class PickerCall {
 public:
  // Opens the stream. Unavailable: the connection takes no more.
  static Result<std::unique_ptr<PickerCall>> open(std::shared_ptr<http::Http2Client> client);

  // Sends the request and waits for the decision. `scheme`: http or https. A body that the picker makes
  // larger than `most_bytes` is ResourceExhausted. Other errors: the picker left, or said what it must not.
  Task<Result<Picked>> pick(http::RequestHead head, std::string_view body, std::string_view scheme,
                            std::size_t most_bytes);

  // False: the picker does not want to see the answer's head, its body, the trailers behind it.
  bool wants_response_headers() const { return wants_response_headers_; }
  bool wants_response_body() const { return wants_response_body_; }
  bool wants_response_trailers() const { return wants_response_trailers_; }
  Task<Result<void>> send_response_headers(const http::ResponseHead& head, bool end_of_stream,
                                           std::string_view served_by);
  Task<Result<void>> send_response_body(std::string_view body, bool end_of_stream);
  Task<Result<void>> send_response_trailers(const http::Headers& trailers);
  // The next message, valid until the next call. Errors: the call is over, however it ended.
  Task<Result<const envoy::ProcessingResponse*>> receive();
  // Nothing more will be sent.
  void half_close() { stream_->half_close(); }

 private:
  PickerCall(std::shared_ptr<http::Http2Client> client, std::unique_ptr<http::GrpcStream> stream)
      : client_(std::move(client)), stream_(std::move(stream)) {}
  Task<void> send_request(const http::RequestHead& head, std::string_view body, std::string_view scheme);
  Task<Result<void>> receive_decision(Picked& picked, std::string_view body, std::size_t most_bytes);
  Task<Result<void>> send_body(envoy::Part part, std::string_view body, bool end_of_stream);

  std::shared_ptr<http::Http2Client> client_;  // lives as long as its stream
  std::unique_ptr<http::GrpcStream> stream_;
  envoy::ProcessingResponse response_;
  bool wants_response_headers_ = true;
  bool wants_response_body_ = true;
  bool wants_response_trailers_ = true;
};

// Applies what a picker wants changed, except what no processor may change: pseudo headers, Host, framing,
// and what is no header at all.
void apply_changes(const envoy::ProcessingResponse& response, http::Headers& headers);

ImmediateAnswer immediate_answer(const envoy::ProcessingResponse& response);

}  // namespace llmd::gateway
