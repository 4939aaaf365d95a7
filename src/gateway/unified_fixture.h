// Engines that are real servers with invented answers, and a gateway in front of them, all on one loop. For
// tests.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "async/scope.h"
#include "base/log.h"
#include "base/strings.h"
#include "gateway/gateway.h"
#include "http/client.h"
#include "http/server.h"
#include "json/path.h"

namespace llmd::gateway {

// An engine that lists one model and says what it got.
struct FakeEngine {
  std::string model;
  std::string owner;
  std::string seen_head;
  std::string seen_body;
  int asked = 0;
  bool dead = false;   // lists nothing any more
  std::string answer;  // instead of its name
  std::string parent_of_adapter;
  net::Address address;
  std::unique_ptr<http::Server> server;
};

class UnifiedApis : public testing::Test {
 protected:
  UnifiedApis() { log::configure(log::Level::Off); }
  ~UnifiedApis() override { log::configure(log::Level::Info); }

  FakeEngine& engine(std::string model, std::string owner) {
    FakeEngine& made =
        engines_.emplace_back(FakeEngine{.model = std::move(model), .owner = std::move(owner)});
    made.server = std::make_unique<http::Server>(
        loop_, http::ServerOptions{},
        [this, &made](http::Exchange& exchange) { return serve(made, exchange); });
    made.address = made.server->listen({"127.0.0.1", 0}).value();
    scope_.spawn("engine", made.server->run());
    return made;
  }

  Task<void> serve(FakeEngine& engine, http::Exchange& exchange) {
    if (exchange.request().target == "/v1/models") {
      const std::string adapter = engine.parent_of_adapter.empty()
                                      ? ""
                                      : fmt::format(R"(,{{"id":"sql","owned_by":"{}","parent":"{}"}})",
                                                    engine.owner, engine.parent_of_adapter);
      const std::string list = fmt::format(
          R"({{"object":"list","data":[{{"id":"{}","created":77,"owned_by":"{}","max_model_len":4096}}{}]}})",
          engine.model, engine.owner, adapter);
      co_await exchange.respond(engine.dead ? 500 : 200, "application/json", list);
      co_return;
    }
    ++engine.asked;
    const auto body = co_await http::read_all(exchange.body(), 1 << 20);
    engine.seen_body = body.value_or("");
    engine.seen_head = exchange.request().method + " " + exchange.request().target + "\n";
    for (const auto& [name, value] : exchange.request().headers) {
      engine.seen_head += to_lower(name) + ": " + value + "\n";
    }
    const std::string answer = engine.answer.empty() ? engine.model + " of " + engine.owner : engine.answer;
    const bool events = answer.starts_with("data:");
    co_await exchange.respond(200, events ? "text/event-stream" : "application/json", answer);
  }

  ModelTarget target(std::string key, const std::vector<net::Address>& addresses, Via via = Via::Service) {
    ModelTarget made{.key = std::move(key), .via = via};
    for (const auto& address : addresses) {
      made.endpoints.push_back({.address = address, .name = address.to_string(), .labels = {}});
    }
    return made;
  }

  void serve_gateway(std::vector<ModelTarget> targets, std::string_view configuration = {},
                     GatewayOptions options = {}) {
    GatewayConfiguration read;
    if (!configuration.empty()) {
      const std::string text =
          "apiVersion: config.llmd.dev/v1alpha1\nkind: GatewayConfiguration\n" + std::string(configuration);
      auto parsed = parse_gateway_configuration(text, "gateway.yaml");
      ASSERT_TRUE(parsed) << parsed.error().text();
      read = *std::move(parsed);
      options = apply_configuration(options, read);
    }
    read.unified.probeTimeout = std::chrono::seconds(60);  // engines of a slow machine are not dead
    options.configuration = std::make_shared<const GatewayConfiguration>(std::move(read));
    gateway_ = std::make_unique<Gateway>(loop_, options);
    address_ = gateway_->listen({"127.0.0.1", 0}).value();
    gateway_->update_models(std::move(targets));
    gateway_scope_.spawn("gateway", gateway_->run());
  }

  http::Answer ask(std::string target, std::string_view body, http::Headers headers = {},
                   std::string method = "POST") {
    http::ClientRequest request;
    request.address = address_;
    headers.add("Content-Type", "application/json");
    request.head = {std::move(method), std::move(target), std::move(headers)};
    request.content = body;
    request.timeouts.total = async::Deadline::after(std::chrono::seconds(20));
    auto answer = loop_.block_on(http::fetch(client_, std::move(request)));
    EXPECT_TRUE(answer) << answer.error().text();
    return answer.value_or(http::Answer{});
  }
  http::Answer get(std::string target, http::Headers headers = {}) {
    return ask(std::move(target), "", std::move(headers), "GET");
  }
  http::Answer chat(std::string_view body, http::Headers headers = {}) {
    return ask("/v1/chat/completions", body, std::move(headers));
  }
  std::string code_of(const http::Answer& answer) {
    const auto parsed = json::parse(answer.body);
    return parsed ? std::string(json::string_at(*parsed, "error.code").value_or("")) : answer.body;
  }

  void TearDown() override {
    client_.close_idle();
    loop_.block_on(gateway_scope_.close());
    gateway_.reset();
    loop_.block_on(scope_.close());
  }

  async::EventLoop loop_;
  async::Scope scope_{loop_};
  async::Scope gateway_scope_{loop_};
  std::deque<FakeEngine> engines_;
  std::unique_ptr<Gateway> gateway_;
  net::Address address_;
  http::ClientPool client_{loop_};
};

}  // namespace llmd::gateway
