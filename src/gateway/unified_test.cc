// The unified API in front of engines that are real servers, by the gateway's own door.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <deque>
#include <set>

#include "async/event.h"
#include "async/scope.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "gateway/gateway.h"
#include "gateway/model_directory.h"
#include "http/client.h"
#include "http/server.h"
#include "json/path.h"

namespace llmd::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

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
    if (!configuration.empty()) {
      const std::string text =
          "apiVersion: config.llmd.dev/v1alpha1\nkind: GatewayConfiguration\n" + std::string(configuration);
      auto parsed = parse_gateway_configuration(text, "gateway.yaml");
      ASSERT_TRUE(parsed) << parsed.error().text();
      options = apply_configuration(options, *parsed);
    }
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
    request.timeouts.total = async::Deadline::after(seconds(20));
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

TEST_F(UnifiedApis, ListTheModelsOfAllBackends) {
  auto& first = engine("llama", "vllm");
  auto& second = engine("qwen", "sglang");
  first.parent_of_adapter = "llama";
  serve_gateway({target("a", {first.address}, Via::Pool), target("b", {second.address})});
  const auto answer = get("/v1/models");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(
      answer.body,
      R"({"object":"list","data":[)"
      R"({"id":"llama","object":"model","created":77,"owned_by":"vllm","parent":null,"max_model_len":4096,)"
      R"("via":"pool","stale":false},)"
      R"({"id":"qwen","object":"model","created":77,"owned_by":"sglang","parent":null,"max_model_len":4096,)"
      R"("via":"service","stale":false},)" +
          answer.body.substr(answer.body.find(R"({"id":"sql")")));
  EXPECT_THAT(answer.body, HasSubstr(R"("owned_by":"vllm","parent":"llama","max_model_len":null)"));
  EXPECT_THAT(get("/v1/models/qwen").body, HasSubstr(R"({"id":"qwen","object":"model")"));
  EXPECT_EQ(code_of(get("/v1/models/nobody")), "model_not_found");
}

TEST_F(UnifiedApis, ADeadBackendMakesItsModelsStaleAndNothingElse) {
  auto& alive = engine("llama", "vllm");
  auto& dying = engine("qwen", "vllm");
  serve_gateway({target("a", {alive.address}), target("b", {dying.address})});
  EXPECT_THAT(get("/v1/models").body, Not(HasSubstr(R"("stale":true)")));
  dying.dead = true;
  loop_.block_on(gateway_->models().discover());
  const std::string body = get("/v1/models").body;
  EXPECT_THAT(body, HasSubstr(R"("id":"llama","object":"model","created":77,"owned_by":"vllm","parent":null,)"
                              R"("max_model_len":4096,"via":"service","stale":false)"));
  EXPECT_THAT(body, HasSubstr(R"("id":"qwen","object":"model","created":77,"owned_by":"vllm","parent":null,)"
                              R"("max_model_len":4096,"via":"service","stale":true)"));
}

TEST_F(UnifiedApis, RouteEveryRequestByItsModel) {
  auto& llama = engine("llama", "vllm");
  auto& qwen = engine("qwen", "vllm");
  serve_gateway({target("a", {llama.address}), target("b", {qwen.address})});
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(chat(R"({"model":"llama"})").body, "llama of vllm");
    EXPECT_EQ(chat(R"({"model":"qwen"})").body, "qwen of vllm");
  }
  EXPECT_EQ(llama.asked, 50);
  EXPECT_EQ(qwen.asked, 50);
  for (const char* path : {"/v1/completions", "/v1/responses", "/v1/messages", "/v1/embeddings", "/v1/rerank",
                           "/tokenize", "/v1/something/new"}) {
    EXPECT_EQ(ask(path, R"({"model":"qwen"})").body, "qwen of vllm") << path;
    EXPECT_THAT(qwen.seen_head, HasSubstr(std::string("POST ") + path + "\n"));
  }
  EXPECT_EQ(get("/v1/responses/r1?model=qwen").body, "qwen of vllm");
}

TEST_F(UnifiedApis, ServeOnSeveralLoops) {
  auto& llama = engine("llama", "vllm");
  serve_gateway({target("a", {llama.address})}, {}, {.loops = 3});
  for (int i = 0; i < 30; ++i) {
    client_.close_idle();  // a new connection: the kernel chooses the loop
    EXPECT_EQ(chat(R"({"model":"llama"})").body, "llama of vllm");
  }
}

TEST_F(UnifiedApis, TakeTheModelFromWhereverItIs) {
  auto& llama = engine("llama", "vllm");
  auto& qwen = engine("qwen", "vllm");
  // One Service in front of engines with different models: the model decides inside it, too.
  serve_gateway({target("both", {llama.address, qwen.address})});
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(chat(R"({"model":"llama"})").body, "llama of vllm");
  }
  EXPECT_EQ(chat("{}", {{"x-model", "qwen"}}).body, "qwen of vllm");
  const std::string form = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nqwen\r\n--b--\r\n";
  http::ClientRequest upload;
  upload.address = address_;
  upload.head = {"POST", "/v1/audio/transcriptions", {{"Content-Type", "multipart/form-data; boundary=b"}}};
  upload.content = form;
  EXPECT_EQ(loop_.block_on(http::fetch(client_, std::move(upload))).value().body, "qwen of vllm");
  EXPECT_EQ(qwen.seen_body, form);
}

struct OwnerCase {
  std::string_view body;
  http::Headers headers;
  std::string_view query;
  std::string_view owner;
  std::string_view forwarded;
};

TEST_F(UnifiedApis, TakeTheOwnerByItsPrecedence) {
  auto& vllm = engine("m", "vllm");
  auto& sglang = engine("m", "sglang");
  serve_gateway({target("a", {vllm.address}), target("b", {sglang.address})});
  const std::vector<OwnerCase> cases{
      {R"({"model":"m","owned_by":"SGLang"})", {}, "", "sglang", R"({"model":"m"})"},
      {R"({"owned_by":"vllm","model":"m"})", {}, "", "vllm", R"({"model":"m"})"},
      {R"({"model":"m","engine":"sglang","n": 1})", {}, "", "sglang", R"({"model":"m","n": 1})"},
      {R"({"model":"m","inference_server":"sglang"})", {}, "", "sglang", R"({"model":"m"})"},
      {R"({"model":"m"})", {{"x-owned-by", "sglang"}}, "", "sglang", R"({"model":"m"})"},
      {R"({"model":"m"})", {{"X-Owned-By", "vllm"}}, "", "vllm", R"({"model":"m"})"},
      {R"({"model":"m"})", {}, "?owned_by=sglang", "sglang", R"({"model":"m"})"},
      {R"({"model":"m"})", {}, "?inference_server=sglang", "sglang", R"({"model":"m"})"},
      {R"({"model":"m","engine":"vllm"})",
       {{"x-owned-by", "sglang"}},
       "?owned_by=sglang",
       "vllm",
       R"({"model":"m"})"},
      {R"({"model":"m","engine":"sglang","owned_by":"vllm"})", {}, "", "vllm", R"({"model":"m"})"},
      {R"({"model":"m","owned_by":"","engine":null})",
       {{"x-owned-by", "sglang"}},
       "",
       "sglang",
       R"({"model":"m"})"},
  };
  for (const OwnerCase& each : cases) {
    const auto answer = ask("/v1/completions" + std::string(each.query), each.body, each.headers);
    EXPECT_EQ(answer.body, fmt::format("m of {}", each.owner)) << each.body;
    const FakeEngine& served = each.owner == "vllm" ? vllm : sglang;
    EXPECT_EQ(served.seen_body, each.forwarded);
    EXPECT_THAT(served.seen_head, testing::StartsWith("POST /v1/completions\n"));
  }
  // Nobody named: both serve.
  const int before[] = {vllm.asked, sglang.asked};
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(chat(R"({"model":"m"})").status, 200);
  }
  EXPECT_EQ(vllm.asked - before[0] + sglang.asked - before[1], 10);
  EXPECT_GT(vllm.asked, before[0]);
  EXPECT_GT(sglang.asked, before[1]);
}

TEST_F(UnifiedApis, KeepOtherQueryParametersAsTheyWereWritten) {
  auto& vllm = engine("m", "vllm");
  serve_gateway({target("a", {vllm.address})});
  ask("/v1/x?a=%20b&owned_by=vllm&c", R"({"model":"m"})");
  EXPECT_THAT(vllm.seen_head, testing::StartsWith("POST /v1/x?a=%20b&c\n"));
}

TEST_F(UnifiedApis, AnswerMistakesInOpenAisShape) {
  auto& vllm = engine("llama-3-8b", "vllm");
  serve_gateway({target("a", {vllm.address})});
  auto answer = chat(R"({"model":"lama-3-8b"})");
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(
      answer.body,
      R"({"error":{"message":"The model `lama-3-8b` does not exist. Did you mean `llama-3-8b`? )"
      R"(Models: llama-3-8b.","type":"invalid_request_error","param":"model","code":"model_not_found"}})");
  answer = chat(R"({"model":"llama-3-8b","owned_by":"trtllm"})");
  EXPECT_EQ(answer.status, 404);
  EXPECT_THAT(answer.body, HasSubstr("Owners: vllm."));
  EXPECT_THAT(answer.body, HasSubstr(R"("param":"owned_by","code":"model_not_found")"));
  EXPECT_EQ(chat(R"({"messages":[]})").status, 400);
  EXPECT_THAT(chat(R"({"messages":[]})").body, HasSubstr(R"("param":"model")"));
  EXPECT_EQ(chat("{nonsense").status, 400);
  EXPECT_EQ(chat("").status, 400);
  EXPECT_EQ(vllm.asked, 0);
}

TEST_F(UnifiedApis, RefuseContradictingOwnersWhenStrict) {
  auto& vllm = engine("m", "vllm");
  serve_gateway({target("a", {vllm.address})}, "unified: {strict: true}\n");
  EXPECT_EQ(chat(R"({"model":"m","owned_by":"vllm"})", {{"x-owned-by", "VLLM"}}).status, 200);
  const auto answer = chat(R"({"model":"m","owned_by":"vllm"})", {{"x-owned-by", "sglang"}});
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.body, HasSubstr("different owners: vllm, sglang"));
}

TEST_F(UnifiedApis, RewriteTheModelInPlace) {
  auto& vllm = engine("meta/llama", "vllm");
  serve_gateway({target("a", {vllm.address})}, "unified: {aliases: {gpt-4o: meta/llama}}\n");
  EXPECT_EQ(chat(R"({"temperature":0.10, "model" : "gpt-4o","x":"\u00e9"})").status, 200);
  EXPECT_EQ(vllm.seen_body, R"({"temperature":0.10, "model" : "meta/llama","x":"\u00e9"})");
}

TEST_F(UnifiedApis, PreferThePoolAndFallBackToPods) {
  auto& pool = engine("m", "vllm");
  auto& pod = engine("m", "vllm");
  pool.answer = "pool";
  pod.answer = "pod";
  serve_gateway({target("pod x", {pod.address}, Via::Pod), target("pool", {pool.address}, Via::Pool)});
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(chat(R"({"model":"m"})").body, "pool");
  }
  EXPECT_THAT(get("/v1/models").body, HasSubstr(R"("via":"pool")"));
  gateway_->update_models({target("pod x", {pod.address}, Via::Pod)});
  EXPECT_EQ(chat(R"({"model":"m"})").body, "pod");
  EXPECT_THAT(get("/v1/models").body, HasSubstr(R"("via":"pod")"));
  gateway_->update_models(
      {target("pod x", {pod.address}, Via::Pod), target("pool", {pool.address}, Via::Pool)});
  loop_.block_on(gateway_->models().discover());
  EXPECT_EQ(chat(R"({"model":"m"})").body, "pool");
}

TEST_F(UnifiedApis, TryAnotherEndpointOfTheModelWhenOneCannotBeReached) {
  auto& alive = engine("m", "vllm");
  auto& dying = engine("m", "vllm");
  serve_gateway({target("both", {alive.address, dying.address})});
  EXPECT_EQ(chat(R"({"model":"m"})").status, 200);
  dying.server.reset();
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(chat(R"({"model":"m"})").status, 200);
  }
}

TEST_F(UnifiedApis, ASessionStaysWithItsEndpointAndMovesWhenThatIsGone) {
  std::vector<net::Address> addresses;
  for (int i = 0; i < 4; ++i) {
    FakeEngine& made = engine("m", "vllm");
    made.answer = "engine " + std::to_string(i);
    addresses.push_back(made.address);
  }
  serve_gateway({target("all", addresses)}, "unified: {sessionHeader: x-session-id}\n");
  const auto engine_of = [&](int session) {
    return chat(R"({"model":"m"})", {{"x-session-id", std::to_string(session)}}).body;
  };
  std::vector<std::string> before;
  for (int session = 0; session < 20; ++session) {
    before.push_back(engine_of(session));
    EXPECT_EQ(engine_of(session), before.back());
  }
  EXPECT_GT(std::set(before.begin(), before.end()).size(), 2u);
  gateway_->update_models({target("all", {addresses.begin(), addresses.begin() + 3})});
  loop_.block_on(gateway_->models().discover());
  for (int session = 0; session < 20; ++session) {
    const std::string now = engine_of(session);
    EXPECT_EQ(now == before[static_cast<std::size_t>(session)],
              before[static_cast<std::size_t>(session)] != "engine 3");
  }
}

TEST_F(UnifiedApis, AStreamIsToldThatItsModelIsStarting) {
  auto starting = target("a", {});
  starting.models = {"m"};
  starting.not_ready = 1;
  serve_gateway({starting}, "unified: {progressInterval: 10ms}\n");
  EXPECT_THAT(get("/v1/models").body, HasSubstr(R"("id":"m")"));
  auto& vllm = engine("m", "vllm");
  vllm.answer = "data: {\"x\":1}\n\ndata: [DONE]\n\n";
  async::Scope scope(loop_);
  Result<http::Answer> answer = internal_error("none");
  auto client = [&]() -> Task<void> {
    http::ClientRequest request;
    request.address = address_;
    request.head = {"POST", "/v1/chat/completions", {}};
    request.content = R"({"model":"m","stream":true})";
    request.timeouts.total = async::Deadline::after(seconds(20));
    answer = co_await http::fetch(client_, std::move(request));
  };
  scope.spawn("client", client());
  while (gateway_->metrics_text().find("llmd_gateway_model_waits_total 1") == std::string::npos) {
    loop_.block_on(async::sleep(milliseconds(1)));
  }
  loop_.block_on(async::sleep(milliseconds(30)));
  gateway_->update_models({target("a", {vllm.address})});
  loop_.block_on(scope.join());
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_THAT(answer->body, testing::StartsWith(": waiting for the model m to start\n\n"));
  EXPECT_THAT(answer->body, testing::EndsWith("\n\ndata: {\"x\":1}\n\ndata: [DONE]\n\n"));
}

TEST_F(UnifiedApis, WaitingForAModelIsBounded) {
  auto starting = target("a", {});
  starting.models = {"m"};
  serve_gateway({starting}, "unified: {progressInterval: 5ms}\ntimeouts: {endpointWait: 30ms}\n");
  const auto answer = chat(R"({"model":"m"})");
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.headers.find("retry-after"), "5");
  EXPECT_THAT(answer.body, HasSubstr("no ready endpoint"));
  const auto stream = chat(R"({"model":"m","stream":true})");
  EXPECT_THAT(stream.body, HasSubstr("data: {\"error\":{\"message\":\"the model `m` has no ready endpoint"));
  EXPECT_THAT(stream.body, testing::EndsWith("data: [DONE]\n\n"));
}

TEST_F(UnifiedApis, ControlHeadersNeverComeFromOutside) {
  auto& vllm = engine("m", "vllm");
  serve_gateway({target("a", {vllm.address})});
  chat(R"({"model":"m"})", {{"X-Gateway-Destination-Endpoint", "10.0.0.1:1"},
                            {"x-gateway-destination-endpoint-subset", "a"},
                            {"x-gateway-destination-endpoint-served", "a"},
                            {"x-prefiller-host-port", "a"},
                            {"x-prefiller-url", "a"},
                            {"x-encoder-hosts-ports", "a"},
                            {"x-data-parallel-host-port", "a"},
                            {"x-data-parallel-rank", "1"},
                            {"x-kv-cache-source-host-port", "a"},
                            {"x-llm-d-kv-cache-source-host-port", "a"},
                            {"x-gateway-inference-objective", "a"},
                            {"x-llm-d-inference-fairness-id", "a"},
                            {"x-slo-ttft-ms", "1"},
                            {"x-gateway-model-name-rewrite", "other"},
                            {"x-my-own", "kept"}});
  for (const char* gone : {"destination", "prefiller", "encoder", "parallel", "cache-source", "objective",
                           "fairness", "slo", "rewrite"}) {
    EXPECT_THAT(vllm.seen_head, Not(HasSubstr(gone)));
  }
  EXPECT_THAT(vllm.seen_head, HasSubstr("x-my-own: kept\n"));
}

TEST_F(UnifiedApis, TrustedListenersMaySetObjectivesButNeverDestinations) {
  auto& vllm = engine("m", "vllm");
  serve_gateway({target("a", {vllm.address})}, "trustedListeners: [\"*\"]\n");
  chat(R"({"model":"old"})", {{"x-gateway-model-name-rewrite", "m"},
                              {"x-gateway-inference-objective", "batch"},
                              {"x-gateway-destination-endpoint", "10.0.0.1:1"}});
  EXPECT_EQ(vllm.seen_body, R"({"model":"m"})");
  EXPECT_THAT(vllm.seen_head, HasSubstr("x-gateway-inference-objective: batch\n"));
  EXPECT_THAT(vllm.seen_head, Not(HasSubstr("destination")));
}

// sha256 of "secret-a" and "secret-b".
constexpr std::string_view kKeys = R"(apiKeys:
- name: a
  hash: sha256:8766b9cb08e6040b704f1e3ee1e186efccf2635b1d2634d6525333007e6aeae1
  models: ["ll*"]
  requestsPerMinute: 3
- name: b
  hash: sha256:ff492ef788c89b555e6f738b33d2422f57dbb6656af2402155672c5f123a90af
  tokensPerMinute: 10
  concurrency: 1
  trusted: true
)";

TEST_F(UnifiedApis, KeysDecideWhoMayAskForWhatAndHowMuch) {
  auto& llama = engine("llama", "vllm");
  auto& qwen = engine("qwen", "vllm");
  serve_gateway({target("a", {llama.address}), target("b", {qwen.address})}, kKeys);
  EXPECT_EQ(get("/healthz").status, 200);
  auto refused = chat(R"({"model":"llama"})");
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(code_of(refused), "invalid_api_key");
  EXPECT_EQ(chat(R"({"model":"llama"})", {{"Authorization", "Bearer secret-c"}}).status, 401);
  const http::Headers a{{"Authorization", "Bearer secret-a"}};
  const auto listed = get("/v1/models", a);
  EXPECT_THAT(listed.body, HasSubstr("llama"));
  EXPECT_THAT(listed.body, Not(HasSubstr("qwen")));
  EXPECT_EQ(chat(R"({"model":"llama"})", a).status, 200);
  EXPECT_THAT(llama.seen_head, Not(HasSubstr("authorization")));
  const auto forbidden = chat(R"({"model":"qwen"})", a);
  EXPECT_EQ(forbidden.status, 403);
  EXPECT_EQ(code_of(forbidden), "model_not_allowed");
  const auto limited = chat(R"({"model":"llama"})", a);
  EXPECT_EQ(limited.status, 429);
  EXPECT_EQ(code_of(limited), "rate_limit_exceeded");
  EXPECT_TRUE(limited.headers.has("retry-after"));
  EXPECT_EQ(llama.asked, 1);
  EXPECT_EQ(qwen.asked, 0);
}

TEST_F(UnifiedApis, ARewriteOnATrustedListenerStaysWithinTheKeysModels) {
  auto& llama = engine("llama", "vllm");
  auto& qwen = engine("qwen", "vllm");
  serve_gateway({target("a", {llama.address}), target("b", {qwen.address})},
                std::string(kKeys) + "trustedListeners: [\"*\"]\n");
  const http::Headers a{{"Authorization", "Bearer secret-a"}, {"x-llm-d-model-name-rewrite", "qwen"}};
  EXPECT_EQ(chat(R"({"model":"llama"})", a).status, 403);
  const http::Headers b{{"Authorization", "Bearer secret-b"}, {"x-llm-d-model-name-rewrite", "qwen"}};
  EXPECT_EQ(chat(R"({"model":"llama"})", b).body, "qwen of vllm");
}

TEST_F(UnifiedApis, TokensAreChargedAsEnginesCountThem) {
  auto& llama = engine("llama", "vllm");
  llama.answer = R"({"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}})";
  serve_gateway({target("a", {llama.address})}, kKeys);
  const http::Headers b{{"x-api-key", "secret-b"}};
  EXPECT_EQ(chat(R"({"model":"llama"})", b).status, 200);
  const auto limited = chat(R"({"model":"llama"})", b);
  EXPECT_EQ(limited.status, 429);
  EXPECT_THAT(limited.body, HasSubstr(R"("type":"tokens")"));
  EXPECT_THAT(gateway_->metrics_text(), HasSubstr("llmd_gateway_key_tokens_total{key=\"b\"} 12\n"));
}

TEST_F(UnifiedApis, OneRequestIdGoesEverywhere) {
  auto& llama = engine("llama", "vllm");
  serve_gateway({target("a", {llama.address})});
  auto answer = chat(R"({"model":"llama"})", {{"X-Request-Id", "my-id-1"}});
  EXPECT_EQ(answer.headers.find("x-request-id"), "my-id-1");
  EXPECT_THAT(llama.seen_head, HasSubstr("x-request-id: my-id-1\n"));
  answer = chat(R"({"model":"llama"})");
  const std::string made(answer.headers.find("x-request-id").value_or(""));
  EXPECT_EQ(made.size(), 32u);
  EXPECT_THAT(llama.seen_head, HasSubstr("x-request-id: " + made + "\n"));
}

TEST_F(UnifiedApis, TheAccessLogTellsWhatHappenedAndNoSecrets) {
  auto& llama = engine("llama", "vllm");
  llama.answer = R"({"usage":{"prompt_tokens":9,"completion_tokens":3}})";
  const std::string path = testing::TempDir() + "/access-" + std::to_string(::getpid()) + ".jsonl";
  std::filesystem::remove(path);
  serve_gateway({target("a", {llama.address})}, std::string(kKeys) + "accessLog: {path: " + path + "}\n");
  ask("/v1/completions?owned_by=vllm&secret=1", R"({"model":"llama","prompt":"my prompt"})",
      {{"x-api-key", "secret-b"}, {"x-request-id", "id-7"}});
  client_.close_idle();
  const auto text = read_file(path).value();
  const auto line = json::parse(text.substr(0, text.find('\n')));
  ASSERT_TRUE(line) << text;
  EXPECT_EQ(json::string_at(*line, "requestId"), "id-7");
  EXPECT_EQ(json::string_at(*line, "path"), "/v1/completions");
  EXPECT_EQ(json::string_at(*line, "model"), "llama");
  EXPECT_EQ(json::string_at(*line, "ownedBy"), "vllm");
  EXPECT_EQ(json::string_at(*line, "key"), "b");
  EXPECT_EQ(json::string_at(*line, "upstream"), llama.address.to_string());
  EXPECT_EQ(json::int_at(*line, "status"), 200);
  EXPECT_EQ(json::int_at(*line, "promptTokens"), 9);
  EXPECT_EQ(json::int_at(*line, "completionTokens"), 3);
  EXPECT_THAT(text, Not(HasSubstr("secret")));
  EXPECT_THAT(text, Not(HasSubstr("my prompt")));
}

TEST_F(UnifiedApis, CountRequestsUnderTheNamesOfBothGenerations) {
  auto& llama = engine("llama", "vllm");
  llama.answer =
      R"({"usage":{"prompt_tokens":9,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4}}})";
  serve_gateway({target("a", {llama.address})});
  chat(R"({"model":"llama"})");
  chat(R"({"model":"nobody"})");
  const std::string page = gateway_->metrics_text();
  const std::string labels = R"({model_name="llama",target_model_name="llama")";
  EXPECT_THAT(page, HasSubstr("llm_d_epp_request_total" + labels + ",priority=\"0\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("inference_objective_request_total" + labels + ",priority=\"0\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("inference_objective_request_ttft_seconds_count" + labels + "} 1\n"));
  EXPECT_THAT(page, HasSubstr("inference_objective_normalized_time_per_output_token_seconds_count" + labels +
                              "} 1\n"));
  EXPECT_THAT(page, HasSubstr("llm_d_epp_request_output_tokens_sum" + labels + "} 3\n"));
  EXPECT_THAT(page, HasSubstr("llm_d_epp_request_cached_tokens_sum" + labels + "} 4\n"));
  EXPECT_THAT(page, HasSubstr("llm_d_epp_request_running{model_name=\"llama\"} 0\n"));
  EXPECT_THAT(page, HasSubstr(R"(llm_d_epp_request_error_total{model_name="unknown",)"
                              R"(target_model_name="unknown",error_code="404"} 1)"));
  EXPECT_THAT(page, HasSubstr("llmd_gateway_refused_requests_total{reason=\"unknown_model\"} 1\n"));
}

TEST(GatewayConfigurationTest, NamesThePlaceOfAMistake) {
  const auto parsed = parse_gateway_configuration(
      "apiVersion: config.llmd.dev/v1alpha1\nkind: GatewayConfiguration\nunified:\n  aliase: {}\n", "g.yaml");
  ASSERT_FALSE(parsed);
  EXPECT_THAT(parsed.error().text(), HasSubstr("g.yaml:4:3"));
  EXPECT_THAT(parsed.error().text(), HasSubstr("did you mean 'aliases'"));
  EXPECT_THAT(parse_gateway_configuration("kind: X", "g.yaml").error().text(),
              HasSubstr("expected apiVersion"));
}

}  // namespace
}  // namespace llmd::gateway
