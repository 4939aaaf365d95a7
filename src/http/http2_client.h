// One HTTP/2 connection to a server, shared by any number of requests. Plaintext needs a server that is known
// to speak HTTP/2 (prior knowledge); over TLS it is agreed on by ALPN. One loop; not thread-safe.
#pragma once

#include <memory>

#include "async/scope.h"
#include "http/client.h"

namespace llmd::http {

struct Http2ClientOptions {
  std::shared_ptr<const net::TlsClient> tls;  // null: plaintext; otherwise made with ALPN "h2"
  async::Deadline connect_by = async::Deadline::after(std::chrono::seconds(5));
  Duration ping_interval = std::chrono::seconds(30);
  Duration ping_timeout = std::chrono::seconds(10);
};

// One request whose body is sent while its answer arrives. Destroying it before both have ended resets the
// stream. One task may send while another reads.
class Http2Call {
 public:
  virtual ~Http2Call() = default;
  // Waits while the server does not read. Errors: the stream is over; receive_head() or the body tell why.
  virtual Task<Result<void>> send(std::string_view bytes) = 0;
  virtual void end(Headers trailers = {}) = 0;
  virtual Task<Result<void>> receive_head() = 0;
  virtual const ResponseHead& head() const = 0;  // after receive_head()
  virtual BodyReader& body() = 0;
  // What waits fails now.
  virtual void cancel() = 0;
};

class Http2Client {
 public:
  // The connection's tasks run in `scope`, which must be closed after this object's destruction.
  static Task<Result<std::unique_ptr<Http2Client>>> connect(async::Scope& scope, net::Address address,
                                                            Http2ClientOptions options);
  // Closes the connection: what still runs fails.
  virtual ~Http2Client() = default;

  // As ClientPool::send, with these differences: `request.address` is not looked at; destroying the response
  // resets its stream and nothing else. Unavailable when the server takes no more
  // streams (then usable() is false, or will be again when some have ended).
  virtual Task<Result<std::unique_ptr<ClientResponse>>> send(ClientRequest request) = 0;
  virtual Result<std::unique_ptr<Http2Call>> begin(RequestHead head, Timeouts timeouts) = 0;
  virtual bool usable() const = 0;
  // The connection is gone, or the server has asked to leave: dial anew.
  virtual bool over() const = 0;
};

}  // namespace llmd::http
