#include "http/handler_guard.h"

#include "base/log.h"

namespace llmd::http {

Task<void> run_guarded(const Handler& handler, Exchange& exchange) {
  std::string failure;
  try {
    co_await handler(exchange);
  } catch (const boost::system::system_error& error) {
    if (error.code() == boost::asio::error::operation_aborted) {
      throw;  // cancellation
    }
    failure = error.what();
  } catch (const std::exception& error) {
    failure = error.what();
  }
  if (!failure.empty()) {
    log::error("request handler threw", {{"target", exchange.request().target}, {"exception", failure}});
  }
}

}  // namespace llmd::http
