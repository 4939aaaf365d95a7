#include <vector>

#include "async/event.h"
#include "net/tls_stream.h"

namespace llmd::net {
namespace {

using Resolver = asio::ip::basic_resolver<Tcp, Executor>;

// The system's resolver blocks a thread of Asio's and cannot be interrupted: a caller that no longer waits
// leaves the lookup behind, which owns what it touches.
struct Lookup {
  explicit Lookup(Executor executor) : resolver(executor), done(executor) {}
  Resolver resolver;
  async::Event done;
  async::ErrorCode error;
  std::vector<Tcp::endpoint> endpoints;
};

Task<Result<std::vector<Tcp::endpoint>>> resolve(const Address& address, async::Deadline deadline) {
  async::ErrorCode error;
  const auto literal = asio::ip::make_address(address.host, error);
  if (!error) {
    co_return std::vector{Tcp::endpoint(literal, address.port)};
  }
  if (address.host == "localhost") {
    co_return std::vector{Tcp::endpoint(asio::ip::address_v4::loopback(), address.port),
                          Tcp::endpoint(asio::ip::address_v6::loopback(), address.port)};
  }
  const auto lookup = std::make_shared<Lookup>(co_await async::current_executor());
  lookup->resolver.async_resolve(
      address.host, std::to_string(address.port),
      [lookup](const async::ErrorCode& failed, const Resolver::results_type& results) {
        lookup->error = failed;
        for (const auto& result : results) {
          lookup->endpoints.push_back(result.endpoint());
        }
        lookup->done.set();
      });
  const bool answered = co_await lookup->done.wait_until(deadline);
  if (!answered) {
    co_return deadline_exceeded("name lookup of {}: the deadline passed", address.host);
  }
  if (lookup->error) {
    co_return to_error(lookup->error, "connect to", address);
  }
  co_return std::move(lookup->endpoints);
}

Task<Result<std::unique_ptr<Stream>>> shake_hands(std::unique_ptr<TcpStream> plain, const Address& address,
                                                  const DialOptions& options) {
  const auto& trust = static_cast<const TlsClientContext&>(*options.tls);
  auto stream = std::make_unique<TlsStream>(plain->release(), trust.context);
  const std::string waited_for = "TLS handshake with " + address.to_string();
  stream->set_deadline(options.deadline, waited_for);
  const std::string& name = !trust.server_name.empty()     ? trust.server_name
                            : !options.server_name.empty() ? options.server_name
                                                           : address.host;
  LLMD_CO_TRY_VOID(co_await stream->connect_handshake(name));
  stream->set_deadline(async::Deadline::never(), "peer");
  co_return std::unique_ptr<Stream>(std::move(stream));
}

}  // namespace

Task<Result<std::unique_ptr<Stream>>> dial(Address address, DialOptions options) {
  LLMD_CO_TRY(const auto endpoints, co_await resolve(address, options.deadline));
  const std::string waited_for = "connection to " + address.to_string();
  Error last = unavailable("{}: the name has no address", address.host);
  for (const auto& endpoint : endpoints) {
    auto stream = std::make_unique<TcpStream>(Socket(co_await async::current_executor()));
    stream->set_deadline(options.deadline, waited_for);
    auto connected = co_await stream->connect(endpoint);
    if (!connected) {
      last = std::move(connected).error();
      if (last.kind == ErrorKind::DeadlineExceeded) {
        break;
      }
      continue;
    }
    stream->set_deadline(async::Deadline::never(), "peer");
    if (options.tls) {
      co_return co_await shake_hands(std::move(stream), address, options);
    }
    co_return std::unique_ptr<Stream>(std::move(stream));
  }
  co_return last;
}

Task<Result<void>> Stream::write(std::string_view bytes) {
  co_return co_await write(std::span(&bytes, 1));
}

}  // namespace llmd::net
