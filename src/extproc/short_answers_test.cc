// Streams that end at the response headers: counted, and warned about once, because the proxy is then set up
// so that nobody sees how long an answer takes.
#include "base/log.h"
#include "extproc/testing_exchange.h"
#include "picker/testing_clock.h"

namespace llmd::extproc {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ShortAnswersTest : public ExchangeTest {
 public:
  void SetUp() override {
    ExchangeTest::SetUp();
    shared().options.clock = &clock_;
    log::set_sink([this](log::Level, std::string_view line) { lines_.emplace_back(line); });
  }
  void TearDown() override {
    log::set_sink({});
    ExchangeTest::TearDown();
  }
  // A request whose stream the proxy closes so long after the response headers.
  void answered_in(Duration duration, BodyMode response = BodyMode::None) {
    begin();
    say(headers(false, BodyMode::FullDuplexStreamed, response));
    say(body(kBody, true));
    say(response_headers(false));
    clock_.pass(duration);
    if (response != BodyMode::None) {
      say(response_body("{}", true));
    }
    exchange_->half_closed();
  }

  picker::HandClock clock_;
  std::vector<std::string> lines_;
};

TEST_F(ShortAnswersTest, AreAllCountedAndWarnedAboutOnce) {
  for (int i = 0; i < 63; ++i) {
    answered_in(milliseconds(0));
  }
  EXPECT_THAT(lines_, IsEmpty());
  for (int i = 63; i < 300; ++i) {
    answered_in(milliseconds(0));
  }
  EXPECT_THAT(lines_,
              ElementsAre(AllOf(HasSubstr("warning"), HasSubstr("ends every stream at the response headers"),
                                HasSubstr("response_trailer_mode: SEND"))));
  EXPECT_EQ(metrics_.short_answers.value(), 300);
  EXPECT_EQ(metrics_.closed->value(), 300) << "they are answers, not clients that left";
}

TEST_F(ShortAnswersTest, OneThatTakesItsTimeShowsThatTheProxyIsSetUpWell) {
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 63; ++i) {
      answered_in(milliseconds(1));
    }
    answered_in(milliseconds(50));
  }
  EXPECT_THAT(lines_, IsEmpty());
  EXPECT_EQ(metrics_.short_answers.value(), 5 * 63);
}

TEST_F(ShortAnswersTest, AnswersWhoseBodiesAreShownMayBeAsShortAsTheyLike) {
  for (int i = 0; i < 100; ++i) {
    answered_in(milliseconds(0), BodyMode::FullDuplexStreamed);
  }
  EXPECT_THAT(lines_, IsEmpty());
  EXPECT_EQ(metrics_.short_answers.value(), 0);
  EXPECT_EQ(metrics_.answered->value(), 100);
}

}  // namespace
}  // namespace llmd::extproc
