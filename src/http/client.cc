#include "http/client.h"

#include <array>

#include "http/client_connection.h"
#include "http/head_writer.h"

namespace llmd::http {
namespace {

// What came of one try on one connection.
struct Attempt {
  std::unique_ptr<PooledResponse> response;  // null: failed
  Error error;
  bool answered = false;
};

Task<Result<void>> send_stream(ClientConnection& connection, const ClientRequest& request, bool chunked) {
  std::string_view head = connection.out;
  while (true) {
    // A head must not wait for a body that is slow to come.
    if (!head.empty() && !request.stream->ready()) {
      LLMD_CO_TRY_VOID(co_await connection.stream->write(std::span(&head, 1)));
      head = {};
    }
    LLMD_CO_TRY(const std::string_view piece, co_await request.stream->next());
    connection.stream->set_deadline(request.timeouts.total.or_after(request.timeouts.idle),
                                    connection.sending);
    if (piece.empty()) {
      std::string last = chunked ? "0\r\n\r\n" : "";
      if (const Headers* trailers = request.stream->trailers(); chunked && trailers != nullptr) {
        last.clear();
        append_chunked_end(last, *trailers);
      }
      const std::array<std::string_view, 2> end{head, last};
      co_return co_await connection.stream->write(end);
    }
    std::array<char, 20> space;
    const std::string_view size_line = chunked ? chunk_size_line(piece.size(), space) : std::string_view();
    const std::array<std::string_view, 4> pieces{head, size_line, piece, chunked ? "\r\n" : ""};
    LLMD_CO_TRY_VOID(co_await connection.stream->write(pieces));
    head = {};
  }
}

void serialise_head(ClientConnection& connection, const ClientRequest& request) {
  RequestFraming framing;
  if (request.stream != nullptr) {
    framing.content_length = request.stream->length();
    framing.chunked = !framing.content_length;
  } else if (request.trailers != nullptr) {
    framing.chunked = true;
  } else if (!request.content.empty() || request.head.method == "POST" || request.head.method == "PUT" ||
             request.head.method == "PATCH") {
    framing.content_length = request.content.size();
  }
  connection.out.clear();
  append_request(connection.out, request.head, framing, connection.authority);
}

Task<void> read_head_into(PooledResponse& response, std::string_view method, bool& answered,
                          std::optional<Result<void>>& outcome) {
  outcome.emplace(co_await response.read_head(method, answered));
}

// A body that arrives while it is sent: the server may answer before it has all of it, and then needs no
// more.
Task<Result<void>> exchange_streaming(ClientConnection& connection, PooledResponse& response,
                                      const ClientRequest& request, bool& answered) {
  const bool chunked = !request.stream->length().has_value();
  std::optional<Result<void>> head;
  auto reading = read_head_into(response, request.head.method, answered, head);
  auto sending = send_stream(connection, request, chunked);
  const std::optional<Result<void>> sent = co_await async::unless(std::move(reading), std::move(sending));
  if (!sent || !*sent) {
    response.not_reusable();
  }
  if (head) {
    co_return std::move(*head);
  }
  auto read = co_await response.read_head(request.head.method, answered);
  if (!read && sent && !*sent) {
    co_return std::unexpected(sent->error());  // why sending failed says more than that no answer came
  }
  co_return read;
}

Task<Result<void>> exchange(ClientConnection& connection, PooledResponse& response,
                            const ClientRequest& request, bool& answered) {
  serialise_head(connection, request);
  connection.stream->set_deadline(request.timeouts.total.or_after(request.timeouts.idle), connection.sending);
  if (request.stream != nullptr) {
    co_return co_await exchange_streaming(connection, response, request, answered);
  }
  std::array<char, 20> space;
  std::string end;
  std::string_view size_line;
  if (request.trailers != nullptr) {  // only a chunked body can have them
    size_line = request.content.empty() ? std::string_view() : chunk_size_line(request.content.size(), space);
    end = request.content.empty() ? "" : "\r\n";
    append_chunked_end(end, *request.trailers);
  }
  const std::array<std::string_view, 4> pieces{connection.out, size_line, request.content, end};
  const auto written = co_await connection.stream->write(pieces);
  if (!written) {
    response.not_reusable();
  }
  // Also after a failed write: a server that refuses a body answers first and closes then.
  auto read = co_await response.read_head(request.head.method, answered);
  if (!read && !written) {
    co_return std::unexpected(written.error());
  }
  co_return read;
}

Task<Attempt> attempt(std::shared_ptr<PoolState> pool, std::unique_ptr<ClientConnection> connection,
                      const ClientRequest& request) {
  ClientConnection& used = *connection;
  Attempt outcome;
  auto response = std::make_unique<PooledResponse>(std::move(pool), std::move(connection), request.timeouts,
                                                   request.abort);
  auto done = co_await exchange(used, *response, request, outcome.answered);
  if (done) {
    outcome.response = std::move(response);
  } else {
    response->not_reusable();
    outcome.error = std::move(done).error();
  }
  co_return outcome;
}

Task<Result<std::unique_ptr<ClientConnection>>> connect(const ClientOptions& options,
                                                        const ClientRequest& request) {
  net::DialOptions dialling;
  dialling.deadline = request.timeouts.total.or_after(request.timeouts.connect);
  dialling.tls = options.tls;
  LLMD_CO_TRY(auto stream, co_await net::dial(request.address, dialling));
  co_return std::make_unique<ClientConnection>(request.address, std::move(stream));
}

}  // namespace

ClientPool::ClientPool(async::EventLoop& loop, ClientOptions options)
    : state_(std::make_shared<State>(loop, std::move(options))) {}

ClientPool::~ClientPool() {
  state_->sweeper.cancel();
  state_->idle.clear();
  state_->options.max_idle_per_address = 0;  // responses that outlive the pool do not refill it
}

void ClientPool::close_idle() {
  state_->idle.clear();
}

Task<Result<std::unique_ptr<ClientResponse>>> ClientPool::send(ClientRequest request) {
  const auto state = state_;
  auto connection = state->take(request.address);
  while (true) {
    if (!connection) {
      LLMD_CO_TRY(connection, co_await connect(state->options, request));
    }
    if (request.abort != nullptr && request.abort->aborted()) {
      co_return cancelled("request to {}: nobody waits for it any more", request.address.to_string());
    }
    const bool reused = connection->reused;
    auto outcome = co_await attempt(state, std::move(connection), request);
    if (outcome.response) {
      co_return std::move(outcome.response);
    }
    // The server closed an idle connection just when we used it: that is no failure. A streamed body is used
    // up.
    const bool closed_while_idle =
        reused && !outcome.answered && outcome.error.kind == ErrorKind::Unavailable;
    if (!closed_while_idle || request.stream != nullptr) {
      co_return std::unexpected(std::move(outcome.error));
    }
    connection = nullptr;
  }
}

Task<Result<Answer>> fetch(Client& pool, ClientRequest request, std::size_t limit) {
  LLMD_CO_TRY(const auto response, co_await pool.send(std::move(request)));
  LLMD_CO_TRY(std::string body, co_await read_all(response->body(), limit));
  co_return Answer{response->status(), response->head().headers, std::move(body)};
}

}  // namespace llmd::http
