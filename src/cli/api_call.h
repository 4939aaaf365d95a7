// Raw requests to the API server of the running `llmd up`, for what kubectl would ask: tables and logs.
#pragma once

#include <functional>
#include <string>

#include "async/event_loop.h"
#include "http/client.h"
#include "kube/client.h"

namespace llmd::cli {

class ApiCall {
 public:
  // `data` as in --data. FailedPrecondition when no llmd up has ever run there.
  static Result<ApiCall> open(async::EventLoop& loop, const std::string& data);

  // Whole answer; a Status with code >= 400 becomes an Error.
  Task<Result<std::string>> get(std::string target, std::string accept);
  // Hands every piece of the answer on as it comes, until it is told false.
  Task<Result<void>> stream(std::string target, std::function<bool(std::string_view)> on_bytes);

 private:
  ApiCall(kube::ClientConfig config, std::unique_ptr<http::ClientPool> pool)
      : config_(std::move(config)), pool_(std::move(pool)) {}
  http::ClientRequest request(std::string target, std::string accept) const;

  kube::ClientConfig config_;
  std::unique_ptr<http::ClientPool> pool_;
};

}  // namespace llmd::cli
