#include "extproc/usage_finder.h"

#include <gtest/gtest.h>

namespace llmd::extproc {
namespace {

picker::Usage usage_of(std::string_view answer, bool events, std::size_t step) {
  UsageFinder finder;
  if (events) {
    finder.expect_events();
  }
  for (std::size_t at = 0; at < answer.size(); at += step) {
    finder.feed(answer.substr(at, step));
  }
  return finder.finish();
}

struct Counts {
  std::optional<std::int64_t> prompt, completion, cached;
};

void expect(std::string_view answer, bool events, Counts wanted) {
  for (const std::size_t step : {1, 2, 3, 5, 7, 100, 1'000'000}) {
    const auto usage = usage_of(answer, events, step);
    EXPECT_EQ(usage.prompt_tokens, wanted.prompt) << answer.substr(0, 200) << " in steps of " << step;
    EXPECT_EQ(usage.completion_tokens, wanted.completion) << step;
    EXPECT_EQ(usage.cached_tokens, wanted.cached) << step;
  }
}

TEST(UsageFinder, ReadsAPlainAnswerInAnyPieces) {
  expect(R"({"id":"x","usage":{"prompt_tokens":5,"completion_tokens":8,"total_tokens":13}})", false,
         {5, 8, {}});
  expect(R"({"usage" : { "prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 3} }, "model": "m"})",
         false, {5, {}, 3});
  expect(R"({"usage":{"input_tokens":5,"output_tokens":2,"input_tokens_details":{"cached_tokens":4}}})",
         false, {5, 2, 4});
}

TEST(UsageFinder, ReadsNumbersThatAreWrittenAsTexts) {
  expect(
      R"({"usage":{"prompt_tokens":"5","completion_tokens":"8","prompt_tokens_details":{"cached_tokens":"3"}}})",
      false, {5, 8, 3});
}

TEST(UsageFinder, ReadsWhatSglangsOwnApiSays) {
  for (const bool events : {false, true}) {
    UsageFinder finder;
    finder.expect_meta_info();
    if (events) {
      finder.expect_events();
      finder.feed(R"(data: {"text":"a","meta_info":{"prompt_tokens":5,"completion_tokens":1}})"
                  "\n\n");
    }
    finder.feed(R"({"text":"ab","meta_info":{"id":"1","finish_reason":{"type":"stop"},"prompt_tokens":5,)");
    finder.feed(R"("completion_tokens":2,"cached_tokens":4},"usage":{"prompt_tokens":99}})");
    const auto usage = finder.finish();
    EXPECT_EQ(usage.prompt_tokens, 5);
    EXPECT_EQ(usage.completion_tokens, 2);
    EXPECT_EQ(usage.cached_tokens, 4);
  }
}

TEST(UsageFinder, ReadsTheLastUsageOfAStream) {
  std::string stream;
  for (int i = 0; i < 300; ++i) {
    stream += R"(data: {"choices":[{"delta":{"content":"word"}}],"usage":null})"
              "\n\n";
  }
  stream += R"(data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":300}})"
            "\n\ndata: [DONE]\n\n";
  expect(stream, true, {5, 300, {}});
}

TEST(UsageFinder, ReadsTheBeginningOfAStreamWhereAnthropicCountsThePrompt) {
  std::string stream = R"(event: message_start
data: {"message":{"usage":{"input_tokens":9,"cache_read_input_tokens":4,"output_tokens":1}}}

)";
  stream += std::string(20'000, 'x') + R"(
event: message_delta
data: {"usage":{"output_tokens":77}}

)";
  expect(stream, true, {9, 77, 4});
}

TEST(UsageFinder, IsNotFooledByOddAnswers) {
  expect(R"({"usage": {"prompt_tokens": "five", "completion_tokens": null}})", false, {});
  expect(R"({"usage": {"prompt_tokens": {"a": 1}, "prompt_tokens_details": 7}})", false, {});
  expect(R"({"usage": [1, 2], "x": "usage", "choices": "the \"usage\": {\"prompt_tokens\": 1}"})", false, {});
  expect(R"({"usage": {"prompt_tokens": -5}})", false, {});
  expect(R"({"usage": {"prompt_tokens": 5)", false, {});
  expect("", false, {});
}

}  // namespace
}  // namespace llmd::extproc
