// The unified API in front of engines that are real servers, by the gateway's own door.
#include "gateway/unified_fixture.h"

#include <set>

#include "gateway/model_directory.h"

namespace llmd::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

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

TEST_F(UnifiedApis, SayWhatCanBeAskedWhereNothingIsServed) {
  auto& vllm = engine("m", "vllm");
  serve_gateway({target("a", {vllm.address})});
  const auto head = ask("/v1/models", "", {}, "HEAD");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.body, "");
  for (const std::string_view path : {"/v1/models", "/v1/models/", "/v1/models/m"}) {
    const auto refused = ask(std::string(path), "", {}, "DELETE");
    EXPECT_EQ(refused.status, 405) << path;
    EXPECT_EQ(refused.headers.find("allow"), "GET, HEAD");
    EXPECT_THAT(refused.body, HasSubstr("can be listed only"));
  }
  EXPECT_THAT(get("/v1/chat/completions").body, HasSubstr("`model` in their body"));
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
  serve_gateway({starting}, "unified: {progressInterval: 5ms}\ntimeouts: {endpointWait: 1s}\n");
  const auto answer = chat(R"({"model":"m"})");
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.headers.find("retry-after"), "5");
  EXPECT_THAT(answer.body, HasSubstr("no ready endpoint"));
  const auto stream = chat(R"({"model":"m","stream":true})");
  EXPECT_THAT(stream.body, HasSubstr("data: {\"error\":{\"message\":\"the model `m` has no ready endpoint"));
  EXPECT_THAT(stream.body, testing::EndsWith("data: [DONE]\n\n"));
}

}  // namespace
}  // namespace llmd::gateway
