#include "cli/api_call.h"

#include <boost/json.hpp>

#include "cli/data_directory.h"
#include "net/tls.h"

namespace llmd::cli {
namespace {

// The server's Status object says it better than a number.
Error status_error(int status, std::string_view body) {
  boost::system::error_code error;
  const auto value = boost::json::parse(body, error);
  const auto message =
      !error && value.is_object() ? kube::find_string(value.as_object(), "message") : std::string_view();
  return {kind_of_http_status(status),
          message.empty() ? fmt::format("the API server answered {}", status) : std::string(message),
          {}};
}

}  // namespace

Result<ApiCall> ApiCall::open(async::EventLoop& loop, const std::string& data) {
  LLMD_TRY(const auto directory, DataDirectory::open(data));
  if (!std::filesystem::exists(directory.kubeconfig())) {
    return failed_precondition("{}: no llmd up has run here", directory.root().string())
        .hint("start `llmd up FILE`, or pass the --data it was given");
  }
  LLMD_TRY(auto config, kube::ClientConfig::from_kubeconfig(directory.kubeconfig().string()));
  LLMD_TRY(auto tls, net::TlsClient::from_ca_pem(config.ca_pem));
  auto pool = std::make_unique<http::ClientPool>(loop, http::ClientOptions{.tls = std::move(tls)});
  return ApiCall(std::move(config), std::move(pool));
}

http::ClientRequest ApiCall::request(std::string target, std::string accept) const {
  http::ClientRequest request{.address = config_.server,
                              .head = {.method = "GET", .target = std::move(target)}};
  request.head.headers.add("Accept", std::move(accept));
  request.head.headers.add("Authorization", "Bearer " + config_.bearer_token);
  return request;
}

Task<Result<std::string>> ApiCall::get(std::string target, std::string accept) {
  LLMD_CO_TRY(auto answer, co_await http::fetch(*pool_, request(std::move(target), std::move(accept))));
  if (answer.status >= 400) {
    co_return std::unexpected(status_error(answer.status, answer.body));
  }
  co_return std::move(answer.body);
}

Task<Result<void>> ApiCall::stream(std::string target, std::function<bool(std::string_view)> on_bytes) {
  auto call = request(std::move(target), "*/*");
  call.timeouts.idle = std::chrono::hours(24);  // a log may be silent for long
  LLMD_CO_TRY(const auto response, co_await pool_->send(std::move(call)));
  if (response->status() >= 400) {
    LLMD_CO_TRY(const auto body, co_await http::read_all(response->body(), 1 << 20));
    co_return std::unexpected(status_error(response->status(), body));
  }
  for (;;) {
    LLMD_CO_TRY(const auto bytes, co_await response->body().next());
    if (bytes.empty() || !on_bytes(bytes)) {
      co_return Result<void>();
    }
  }
}

}  // namespace llmd::cli
