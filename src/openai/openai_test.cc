#include <gtest/gtest.h>

#include "openai/error_body.h"
#include "openai/request_scan.h"

namespace llmd::openai {
namespace {

struct Body {
  std::string_view text;
  bool whole;
  std::string_view model;  // "-": none
  bool stream;
};

class RequestScanTable : public testing::TestWithParam<Body> {};

TEST_P(RequestScanTable, FindsTheSameForEverySplit) {
  const Body& body = GetParam();
  for (std::size_t step = 1; step <= body.text.size(); ++step) {
    RequestScan scan;
    for (std::string_view rest = body.text; !rest.empty(); rest.remove_prefix(std::min(step, rest.size()))) {
      scan.feed(rest.substr(0, step));
    }
    ASSERT_EQ(scan.finish(), body.whole) << body.text << " in steps of " << step;
    ASSERT_EQ(scan.model().value_or("-"), body.model) << body.text << " in steps of " << step;
    ASSERT_EQ(scan.stream(), body.stream) << body.text << " in steps of " << step;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Bodies, RequestScanTable,
    testing::Values(Body{R"({"model":"m","stream":true})", true, "m", true},
                    Body{R"( { "stream" : true , "prompt" : "x" , "model" : "m" } )", true, "m", true},
                    Body{R"({"prompt":"\"model\":\"no\", \\","model":"yes"})", true, "yes", false},
                    Body{R"({"messages":[{"model":"inner","content":"}]"}],"model":"outer"})", true, "outer",
                         false},
                    Body{R"({"model":"a\u00e9\n\"b"})", true, "a\u00e9\n\"b", false},
                    Body{R"({"model":"first","model":"last"})", true, "last", false},
                    Body{R"({"model":null,"stream":"true"})", true, "-", false},
                    Body{R"({"model":{"a":["b"]},"stream":false})", true, "-", false},
                    Body{R"({})", true, "-", false}, Body{R"([1])", false, "-", false},
                    Body{R"({"model":"m")", false, "m", false}, Body{R"({"model":"m"}x)", false, "m", false},
                    Body{R"({"model" "m"})", false, "-", false}, Body{R"(nonsense)", false, "-", false}));

TEST(RequestScanTest, KnowsWhereTheModelStands) {
  const std::string body = R"({"prompt":"hello","model": "abc" ,"n":1})";
  RequestScan scan;
  scan.feed(body);
  ASSERT_TRUE(scan.model_position());
  const auto [begin, end] = *scan.model_position();
  EXPECT_EQ(body.substr(begin, end - begin), "\"abc\"");
}

TEST(ErrorBodyTest, HasOpenAisShape) {
  EXPECT_EQ(error_body(404, "no \"route\"", "model"),
            R"({"error":{"message":"no \"route\"","type":"NotFoundError","param":"model","code":404}})");
  EXPECT_EQ(
      error_body(unavailable("nobody there").hint("wait")),
      R"x({"error":{"message":"nobody there (wait)","type":"ServiceUnavailableError","param":null,"code":503}})x");
  EXPECT_EQ(
      error_event(502, "x"),
      "data: {\"error\":{\"message\":\"x\",\"type\":\"BadGatewayError\",\"param\":null,\"code\":502}}\n\n");
}

}  // namespace
}  // namespace llmd::openai
