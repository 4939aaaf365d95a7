// `llmd explain REQUEST-ID | --last N`: asks a picker for its decisions.
#include "cli/options.h"
#include "http/client.h"

namespace llmd::cli {
namespace {

Task<Result<http::Answer>> ask(async::EventLoop& loop, net::Address address, std::string target) {
  http::ClientPool pool(loop);
  co_return co_await http::fetch(pool,
                                 {.address = std::move(address),
                                  .head = {.target = std::move(target)},
                                  .timeouts = {.total = async::Deadline::after(std::chrono::seconds(10))}});
}

}  // namespace

Result<int> run_explain(Arguments arguments) {
  std::string id;
  int last = 0;
  std::string address = "127.0.0.1:9090";
  Options options("llmd explain", "Says why requests went where they went.");
  options.positional("REQUEST-ID", id, "x-request-id of one request");
  options.add("--last", last, "the newest N decisions instead").between(1, 10'000);
  options.add("--address", address, "the picker's metrics port");
  LLMD_TRY(const bool go_on, options.parse(arguments));
  if (!go_on) {
    return 0;
  }
  if (id.empty() == (last == 0)) {
    return invalid_argument("give one REQUEST-ID, or --last N");
  }
  LLMD_TRY(auto server, net::parse_address(address));
  async::EventLoop loop;
  const std::string target = id.empty() ? fmt::format("/debug/explain?last={}", last)
                                        : "/debug/explain?id=" + http::percent_encode(id);
  LLMD_TRY(const auto answer, loop.block_on(ask(loop, server, target)));
  if (answer.status != 200) {
    return Error{kind_of_http_status(answer.status), answer.body.substr(0, answer.body.find('\n')), {}};
  }
  fmt::print("{}", answer.body);
  return 0;
}

}  // namespace llmd::cli
