// `llmd explain REQUEST-ID | --last N`: asks a picker for its decisions.
#include "cli/options.h"
#include "http/client.h"
#include "json/path.h"

namespace llmd::cli {
namespace {

Task<Result<http::Answer>> ask(async::EventLoop& loop, net::Address address, std::string target) {
  http::ClientPool pool(loop);
  co_return co_await http::fetch(pool,
                                 {.address = std::move(address),
                                  .head = {.target = std::move(target)},
                                  .timeouts = {.total = async::Deadline::after(std::chrono::seconds(10))}});
}

// A picker says it in a line, others in OpenAI's JSON.
std::string reason_of(const std::string& body) {
  const auto value = json::parse(body);
  const auto message = value ? json::string_at(*value, "error.message") : std::nullopt;
  return message ? std::string(*message) : body.substr(0, body.find('\n'));
}

}  // namespace

Result<int> run_explain(Arguments arguments) {
  std::string id;
  int last = -1;
  std::string address = "127.0.0.1:9090";
  Options options("llmd explain", "Says why requests went where they went.");
  options.positional("REQUEST-ID", id, "x-request-id of one request");
  options.add("--last", last, "the newest N decisions instead").between(1, 10'000);
  options.add("--address", address, "HOST:PORT of the picker's /debug, its --metrics-port");
  LLMD_TRY(const bool go_on, options.parse(arguments));
  if (!go_on) {
    return 0;
  }
  if (id.empty() == (last < 0)) {
    return invalid_argument("give one REQUEST-ID, or --last N");
  }
  LLMD_TRY(auto server, net::parse_address(address));
  async::EventLoop loop;
  const std::string target = id.empty() ? fmt::format("/debug/explain?last={}", last)
                                        : "/debug/explain?id=" + http::percent_encode(id);
  const auto asked = loop.block_on(ask(loop, server, target));
  if (!asked) {
    return Error(asked.error()).hint("is a llmd picker running? --address HOST:PORT is its metrics port");
  }
  const http::Answer& answer = *asked;
  if (answer.status != 200) {
    return Error{kind_of_http_status(answer.status), reason_of(answer.body), {}}.hint(
        "--address is the metrics port of a llmd picker; gateways remember no decisions");
  }
  fmt::print("{}", answer.body);
  return 0;
}

}  // namespace llmd::cli
