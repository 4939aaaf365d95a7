// A whole server on its own loop, and a client beside it: tests talk HTTP to what `llmd serve` would run.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/server/arguments.h"
#include "engine/server/service.h"
#include "http/client.h"
#include "http/sse.h"
#include "json/path.h"
#include "json/value.h"

namespace llmd::engine {

inline std::string tiny_model() {
  return std::string(LLMD_SOURCE_DIR) + "/models/tiny";
}

class Served {
 public:
  explicit Served(std::vector<std::string> arguments) : pool_(loop_), scope_(loop_) {
    arguments.insert(arguments.end(), {"--host", "127.0.0.1", "--port", "0", "--disable-uvicorn-access-log"});
    Result<ServeOptions> options = parse_arguments(arguments);
    EXPECT_TRUE(options) << options.error().text();
    service_ = std::make_unique<Service>(loop_, std::move(*options));
    address_ = service_->listen().value();
    scope_.spawn("service", run());
    EXPECT_TRUE(loop_.block_on(service_->ready()));
  }
  ~Served() {
    service_->stop();
    loop_.block_on(scope_.join());
    pool_.close_idle();
  }

  http::Answer send(std::string method, std::string target, std::string body = "",
                    http::Headers headers = {}) {
    http::ClientRequest request{.address = address_, .content = body};
    request.head.method = std::move(method);
    request.head.target = std::move(target);
    request.head.headers = std::move(headers);
    if (!body.empty() && !request.head.headers.has("Content-Type")) {
      request.head.headers.add("Content-Type", "application/json");
    }
    auto answer = loop_.block_on(http::fetch(pool_, std::move(request)));
    EXPECT_TRUE(answer) << answer.error().text();
    return answer ? *answer : http::Answer{};
  }
  http::Answer get(std::string target, http::Headers headers = {}) {
    return send("GET", std::move(target), "", std::move(headers));
  }
  http::Answer post(std::string target, std::string body, http::Headers headers = {}) {
    return send("POST", std::move(target), std::move(body), std::move(headers));
  }
  json::Value post_json(std::string target, std::string body) {
    const http::Answer answer = post(std::move(target), std::move(body));
    EXPECT_EQ(answer.status, 200) << answer.body;
    auto value = json::parse(answer.body);
    EXPECT_TRUE(value) << answer.body;
    return value ? *value : json::Value();
  }
  // The data of every event.
  std::vector<std::string> post_stream(std::string target, std::string body) {
    const http::Answer answer = post(std::move(target), std::move(body));
    EXPECT_EQ(answer.status, 200) << answer.body;
    std::vector<std::string> data;
    for (const http::SseEvent& event : http::SseParser().feed(answer.body).value()) {
      data.push_back(event.data);
    }
    return data;
  }
  double metric(std::string_view line_start) {
    const std::string page = get("/metrics").body;
    const std::size_t at = page.find("\n" + std::string(line_start));
    if (at == std::string::npos) {
      ADD_FAILURE() << "no metric " << line_start;
      return -1;
    }
    const std::size_t end = page.find('\n', at + 1);
    const std::size_t space = page.rfind(' ', end);
    return std::stod(page.substr(space + 1, end - space - 1));
  }

  async::EventLoop& loop() { return loop_; }
  http::ClientPool& pool() { return pool_; }
  const net::Address& address() const { return address_; }
  Service& service() { return *service_; }
  const Result<void>& result() const { return result_; }

 private:
  Task<void> run() { result_ = co_await service_->run(); }

  async::EventLoop loop_;
  http::ClientPool pool_;
  async::Scope scope_;
  std::unique_ptr<Service> service_;
  net::Address address_;
  Result<void> result_;
};

inline std::string text_at(const json::Value& value, std::string_view path) {
  return std::string(json::string_at(value, path).value_or("<nothing at " + std::string(path) + ">"));
}

}  // namespace llmd::engine
