// The gateway in front of real upstreams, all on one loop.
#include "gateway/gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "async/event.h"
#include "async/scope.h"
#include "base/log.h"
#include "http/client.h"
#include "http/server.h"

namespace llmd::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

class Gateways : public testing::Test {
 protected:
  Gateways() { log::configure(log::Level::Off); }
  ~Gateways() override { log::configure(log::Level::Info); }

  void serve(GatewayOptions options = {}) {
    gateway_ = std::make_unique<Gateway>(loop_, options);
    address_ = gateway_->listen({"127.0.0.1", 0}).value();
    scope_.spawn("gateway", gateway_->run());
  }
  net::Address upstream(http::Handler handler) {
    // The gateway asks every backend for its models; these serve none.
    auto without_models = [handler = std::move(handler)](http::Exchange& exchange) -> Task<void> {
      if (exchange.request().target == "/v1/models") {
        co_await exchange.respond(404, "text/plain", "");
        co_return;
      }
      co_await handler(exchange);
    };
    upstreams_.push_back(
        std::make_unique<http::Server>(loop_, http::ServerOptions{}, std::move(without_models)));
    const auto address = upstreams_.back()->listen({"127.0.0.1", 0}).value();
    scope_.spawn("upstream", upstreams_.back()->run());
    return address;
  }
  // One rule: /default/m goes to the service "default/svc:8000", without its prefix.
  RouteTable table(const std::vector<net::Address>& addresses) {
    auto rule = std::make_shared<Rule>();
    rule->route = "default/m";
    rule->backends = {{.key = "default/svc:8000", .problem = {}, .weight = 1}};
    rule->rewrite = {PathRewrite::Kind::PrefixMatch, "/"};
    RouteTable made;
    made.add("", {.path = "/default/m", .rule = rule});
    made.seal();
    Backend& backend = made.backends["default/svc:8000"];
    for (const auto& address : addresses) {
      backend.ready.push_back(
          {.address = address, .name = "pod-" + std::to_string(address.port), .labels = {}});
    }
    return made;
  }
  http::ClientRequest request(std::string target, std::string_view content = R"({"model":"m"})") {
    http::ClientRequest made;
    made.address = address_;
    made.head = {"POST", std::move(target), {}};
    made.content = content;
    made.timeouts.total = async::Deadline::after(seconds(20));
    return made;
  }
  http::Answer ask(std::string target, std::string_view content = R"({"model":"m"})") {
    auto answer = loop_.block_on(http::fetch(client_, request(std::move(target), content)));
    EXPECT_TRUE(answer) << answer.error().text();
    return answer.value_or(http::Answer{});
  }
  std::string metric(std::string_view name) {
    const std::string page = loop_
                                 .block_on(http::fetch(client_,
                                                       [&] {
                                                         auto get = request("/metrics", "");
                                                         get.head.method = "GET";
                                                         return get;
                                                       }()))
                                 .value()
                                 .body;
    const std::size_t at = page.find(name);
    return at == std::string::npos ? "" : page.substr(at, page.find('\n', at) - at);
  }
  void TearDown() override {
    client_.close_idle();
    loop_.block_on(scope_.close());
  }

  async::EventLoop loop_;
  async::Scope scope_{loop_};
  std::unique_ptr<Gateway> gateway_;
  std::vector<std::unique_ptr<http::Server>> upstreams_;
  net::Address address_;
  http::ClientPool client_{loop_};
};

Task<void> show_request(http::Exchange& exchange) {
  const auto body = co_await http::read_all(exchange.body(), 64 << 20);
  std::string seen = exchange.request().method + " " + exchange.request().target + "\n";
  for (const auto& [name, value] : exchange.request().headers) {
    seen += name + ": " + value + "\n";
  }
  seen += "\n" + *body;
  co_await exchange.respond(200, "text/plain", seen);
}

TEST_F(Gateways, SendARequestToTheServiceOfItsRoute) {
  serve();
  gateway_->update(table({upstream(show_request)}));
  const auto answer = ask("/default/m/v1/chat/completions?x=1");
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.body, testing::StartsWith("POST /v1/chat/completions?x=1\n"));
  EXPECT_THAT(answer.body, HasSubstr("X-Forwarded-For: 127.0.0.1\n"));
  EXPECT_THAT(answer.body, testing::ContainsRegex("X-Request-Id: [0-9a-f]{32}\n"));
  EXPECT_THAT(answer.body, testing::EndsWith("\n\n{\"model\":\"m\"}"));
}

TEST_F(Gateways, CarryLargeBodiesUnchanged) {
  serve();
  gateway_->update(table({upstream(show_request)}));
  const std::string body = R"({"prompt":")" + std::string(5 << 20, 'x') + R"("})";
  EXPECT_THAT(ask("/default/m/v1/completions", body).body, testing::EndsWith("\n\n" + body));
}

TEST_F(Gateways, AnUnknownPathGetsTheKnownOnes) {
  serve();
  gateway_->update(table({}));
  const auto answer = ask("/v1/chat/completions");
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.headers.find("content-type"), "application/json");
  EXPECT_THAT(
      answer.body,
      HasSubstr(R"("message":"no route matches POST /v1/chat/completions; known routes: /default/m")"));
  EXPECT_THAT(answer.body, HasSubstr(R"("type":"NotFoundError","param":null,"code":404)"));
}

TEST_F(Gateways, AreHealthyWithoutRoutes) {
  serve();
  EXPECT_EQ(ask("/healthz").body, "ok\n");
  EXPECT_THAT(ask("/x").body, HasSubstr("there are no routes yet"));
}

TEST_F(Gateways, WaitForAnEndpointThatIsStarting) {
  serve();
  gateway_->update(table({}));
  Result<http::Answer> answer = internal_error("none");
  auto client = [&]() -> Task<void> { answer = co_await http::fetch(client_, request("/default/m/x")); };
  async::Scope scope(loop_);
  scope.spawn("client", client());
  loop_.block_on(async::sleep(milliseconds(20)));
  EXPECT_EQ(scope.size(), 1U);
  gateway_->update(table({upstream(show_request)}));
  loop_.block_on(scope.join());
  EXPECT_EQ(answer.value().status, 200);
}

TEST_F(Gateways, SayThatNoEndpointBecameReady) {
  serve({.endpoint_wait = milliseconds(20)});
  gateway_->update(table({}));
  const auto answer = ask("/default/m/x");
  EXPECT_EQ(answer.status, 503);
  EXPECT_THAT(answer.body, HasSubstr("default/svc:8000: no endpoint became ready"));
  EXPECT_THAT(answer.body, HasSubstr("ServiceUnavailableError"));
}

TEST_F(Gateways, SpreadRequestsByLoad) {
  serve();
  async::Event go_on(loop_.executor());
  int arrived[2] = {};
  const auto handler = [&](int which) {
    return [&, which](http::Exchange& exchange) -> Task<void> {
      ++arrived[which];
      co_await go_on.wait();
      co_await exchange.respond(200, "text/plain", "ok");
    };
  };
  gateway_->update(table({upstream(handler(0)), upstream(handler(1))}));
  async::Scope scope(loop_);
  auto client = [&]() -> Task<void> { co_await http::fetch(client_, request("/default/m/x")); };
  for (int i = 0; i < 10; ++i) {
    scope.spawn("client", client());
  }
  while (arrived[0] + arrived[1] < 10) {
    loop_.block_on(async::sleep(milliseconds(1)));
  }
  EXPECT_EQ(arrived[0], 5);
  EXPECT_THAT(metric("llmd_gateway_running_requests{"), testing::EndsWith(" 5"));
  go_on.set();
  loop_.block_on(scope.join());
  EXPECT_THAT(metric("llmd_gateway_running_requests{"), testing::EndsWith(" 0"));
  EXPECT_EQ(metric("llmd_gateway_requests_total{"),
            R"(llmd_gateway_requests_total{route="default/m",code="200"} 10)");
}

TEST_F(Gateways, AnEndpointThatDiesIsReplacedBeforeTheFirstByte) {
  serve();
  net::Address dead;
  {
    const auto listener = net::Listener::open(loop_, {"127.0.0.1", 0}, {}).value();
    dead = listener->address();
  }
  gateway_->update(table({dead, upstream(show_request)}));
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(ask("/default/m/x").status, 200);
  }
  EXPECT_THAT(metric("llmd_gateway_retries_total "), testing::Not(testing::EndsWith(" 0")));
  EXPECT_THAT(metric("llmd_gateway_running_requests{"), testing::EndsWith(" 0"));
}

TEST_F(Gateways, ALeaseEndsWhenItsClientLeaves) {
  serve();
  async::Event arrived(loop_.executor());
  async::Event left(loop_.executor());
  gateway_->update(table({upstream([&](http::Exchange& exchange) -> Task<void> {
    co_await http::read_all(exchange.body(), 1000);
    arrived.set();
    co_await exchange.client_gone();
    left.set();
  })}));
  {
    async::Scope scope(loop_);
    auto client = [&]() -> Task<void> { co_await http::fetch(client_, request("/default/m/x")); };
    scope.spawn("client", client());
    loop_.block_on(arrived.wait());
    EXPECT_THAT(metric("llmd_gateway_running_requests{"), testing::EndsWith(" 1"));
    loop_.block_on(scope.close());
  }
  EXPECT_TRUE(loop_.block_on(left.wait_until(async::Deadline::after(seconds(20)))));
  EXPECT_THAT(metric("llmd_gateway_running_requests{"), testing::EndsWith(" 0"));
}

TEST_F(Gateways, AnswerTheProblemsOfARoute) {
  serve();
  auto rule = std::make_shared<Rule>();
  rule->route = "n/r";
  rule->backends = {{.key = "", .problem = "backend Service n/s does not exist", .weight = 1}};
  RouteTable broken;
  broken.add("", {.path = "/", .rule = rule});
  broken.seal();
  gateway_->update(std::move(broken));
  const auto answer = ask("/x");
  EXPECT_EQ(answer.status, 500);
  EXPECT_THAT(answer.body, HasSubstr("route n/r: backend Service n/s does not exist"));
}

TEST_F(Gateways, SplitByWeight) {
  serve();
  RouteTable split;
  auto rule = std::make_shared<Rule>();
  rule->backends = {{.key = "a", .problem = {}, .weight = 70}, {.key = "b", .problem = {}, .weight = 30}};
  split.add("", {.path = "/", .rule = rule});
  split.seal();
  int served[2] = {};
  for (int i = 0; i < 2; ++i) {
    const auto address = upstream([&served, i](http::Exchange& exchange) -> Task<void> {
      ++served[i];
      co_await exchange.respond(200, "text/plain", "ok");
    });
    split.backends[i == 0 ? "a" : "b"].ready = {{.address = address, .name = "pod", .labels = {}}};
  }
  gateway_->update(std::move(split));
  for (int i = 0; i < 500; ++i) {
    ask("/");
  }
  EXPECT_NEAR(served[0], 350, 10);
}

TEST_F(Gateways, PoolsSendAPromptWhereItsBeginningIsKnown) {
  serve();
  std::map<std::string, std::set<int>> served;  // by conversation
  RouteTable pools = table({});
  pools.backends.clear();
  Backend& backend = pools.backends["default/svc:8000"];
  backend.pool = true;
  for (int i = 0; i < 4; ++i) {
    const auto address = upstream([&served, i](http::Exchange& exchange) -> Task<void> {
      const auto body = co_await http::read_all(exchange.body(), 1 << 20);
      served[body->substr(body->find("user"), 6)].insert(i);
      co_await exchange.respond(200, "text/plain", "ok");
    });
    backend.ready.push_back({.address = address, .name = "pod-" + std::to_string(i), .labels = {}});
  }
  gateway_->update(std::move(pools));
  std::map<char, std::string> conversations;
  std::set<int> used;
  for (int turn = 0; turn < 4; ++turn) {
    for (const char user : {'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'}) {
      std::string& text = conversations[user];
      text += "user " + std::string(2000, user);
      ask("/default/m/v1/completions", R"({"model":"m","prompt":")" + text + R"("})");
    }
  }
  for (const auto& [conversation, endpoints] : served) {
    EXPECT_EQ(endpoints.size(), 1U) << conversation;
    used.insert(endpoints.begin(), endpoints.end());
  }
  EXPECT_GT(used.size(), 1U);
}

TEST_F(Gateways, LeaveAnEndpointAloneThatFailsTimeAndAgain) {
  serve({.outliers = {.failures = 2, .pause = seconds(1000)}});
  net::Address dead;
  {
    const auto closed = net::Listener::open(loop_, {"127.0.0.1", 0}, {}).value();
    dead = closed->address();
  }
  gateway_->update(table({dead, upstream(show_request)}));
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(ask("/default/m/x").status, 200);
  }
  EXPECT_NE(metric("llmd_gateway_ejected_endpoints 1"), "");
  EXPECT_NE(metric("llmd_gateway_retries_total 2"), "");
}

TEST_F(Gateways, BoundTheMemoryOfBodies) {
  serve({.endpoint_wait = milliseconds(50), .held_body_bytes = 1000});
  async::Event go_on(loop_.executor());
  async::Event arrived(loop_.executor());
  gateway_->update(table({upstream([&](http::Exchange& exchange) -> Task<void> {
    arrived.set();
    co_await go_on.wait();
    co_await exchange.respond(200, "text/plain", "ok");
  })}));
  const std::string body(900, 'x');
  async::Scope scope(loop_);
  auto client = [&]() -> Task<void> { co_await http::fetch(client_, request("/default/m/x", body)); };
  scope.spawn("first", client());
  loop_.block_on(arrived.wait());
  const auto refused = ask("/default/m/x", body);
  EXPECT_EQ(refused.status, 503);
  EXPECT_THAT(refused.body, HasSubstr("the memory for request bodies (1000 bytes) is in use"));
  go_on.set();
  loop_.block_on(scope.join());
  EXPECT_EQ(ask("/default/m/x", body).status, 200);
}

TEST_F(Gateways, RefuseBodiesThatAreTooLargeInOpenAisShape) {
  serve({.max_body_bytes = 10});
  gateway_->update(table({}));
  const auto answer = ask("/default/m/x", "01234567890");
  EXPECT_EQ(answer.status, 413);
  EXPECT_THAT(answer.body, HasSubstr(R"("type":"RequestTooLargeError","param":null,"code":413)"));
}

TEST_F(Gateways, ServeOnSeveralLoops) {
  // The upstream has a loop of its own, because threads of the gateway must not wait for the test's.
  serve({.loops = 3});
  gateway_->update(table({upstream(show_request)}));
  for (int i = 0; i < 30; ++i) {
    http::ClientPool fresh(loop_);  // a new connection: the kernel chooses the loop
    EXPECT_EQ(loop_.block_on(http::fetch(fresh, request("/default/m/x"))).value().status, 200);
  }
}

TEST_F(Gateways, DrainLetsAnswersFinish) {
  serve();
  async::Event go_on(loop_.executor());
  async::Event arrived(loop_.executor());
  gateway_->update(table({upstream([&](http::Exchange& exchange) -> Task<void> {
    arrived.set();
    co_await go_on.wait();
    co_await exchange.respond(200, "text/plain", "done");
  })}));
  Result<http::Answer> answer = internal_error("none");
  auto client = [&]() -> Task<void> { answer = co_await http::fetch(client_, request("/default/m/x")); };
  async::Scope scope(loop_);
  scope.spawn("client", client());
  loop_.block_on(arrived.wait());
  scope.spawn("drain", gateway_->drain(async::Deadline::after(seconds(20))));
  loop_.block_on(async::sleep(milliseconds(1)));
  go_on.set();
  loop_.block_on(scope.join());
  EXPECT_EQ(answer.value().body, "done");
}

}  // namespace
}  // namespace llmd::gateway
