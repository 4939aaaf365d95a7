// What images cost on the unified API, in front of engines that are real servers.
#include "gateway/unified_fixture.h"

namespace llmd::gateway {
namespace {

constexpr std::string_view kPicture =
    R"({"model":"llama","messages":[{"role":"user","content":[{"type":"image","source":)"
    R"({"type":"url","url":"http://pictures/cat.png"}}]}]})";

TEST_F(UnifiedApis, CountImagesAsThePoolsConfigurationSays) {
  auto& llama = engine("llama", "vllm");
  serve_gateway({target("a", {llama.address}, Via::Pool)}, R"(pools:
  pickerConfig:
    plugins:
    - type: random-picker
    - type: token-producer
      parameters: {estimate: {image: {mode: static, static: {staticToken: 5000}}}}
    dataLayer: {injectDefaults: false}
)");
  EXPECT_EQ(ask("/v1/messages", kPicture).body, "llama of vllm");
  const json::Value pool = gateway_->explain_last(1);
  EXPECT_NEAR(static_cast<double>(json::int_at(pool, "a[0].request.promptTokens").value_or(0)), 5000, 50);
}

TEST_F(UnifiedApis, CountImagesAsUsualWhereNothingIsSaid) {
  auto& llama = engine("llama", "vllm");
  serve_gateway({target("a", {llama.address}, Via::Pool)});
  EXPECT_EQ(ask("/v1/messages", kPicture).body, "llama of vllm");
  const json::Value pool = gateway_->explain_last(1);
  EXPECT_NEAR(static_cast<double>(json::int_at(pool, "a[0].request.promptTokens").value_or(0)), 225, 50);
}

}  // namespace
}  // namespace llmd::gateway
