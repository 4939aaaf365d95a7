// Engines that count tokens are asked before a client waits for them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "async/scope.h"
#include "base/log.h"
#include "extproc/renderers.h"
#include "http/server.h"

namespace llmd::extproc {
namespace {

using std::chrono::milliseconds;
using testing::Each;
using testing::HasSubstr;
using testing::SizeIs;

// An engine that fails while it loads.
class WarmTest : public testing::Test {
 protected:
  WarmTest() {
    log::configure(log::Level::Off);
    options_.server = server_.listen({"127.0.0.1", 0}).value();
    options_.model = "served";
  }
  ~WarmTest() override { log::configure(log::Level::Info); }

  Task<void> answer(http::Exchange& exchange) {
    const auto asked = co_await http::read_all(exchange.body(), 1 << 20);
    asked_.push_back(exchange.request().target + " " + asked.value_or(""));
    const bool fails = failures_ > 0;
    failures_ -= fails ? 1 : 0;
    changed_.set();
    co_await exchange.respond(fails ? 503 : 200, "application/json", R"({"token_ids":[1]})");
  }
  Task<void> until_asked(std::size_t times) {
    const auto deadline = async::Deadline::after(std::chrono::seconds(60));
    while (asked_.size() < times) {
      changed_.reset();
      const bool changed = co_await changed_.wait_until(deadline);
      if (!changed) {
        ADD_FAILURE() << "asked " << asked_.size() << " times only";
        co_return;
      }
    }
  }
  void run(const std::function<Task<void>(async::Scope&)>& story) {
    loop_.block_on([&]() -> Task<void> {
      co_await async::with_scope(loop_.executor(), [&](async::Scope& scope) -> Task<void> {
        scope.spawn("engine", server_.run());
        co_await story(scope);
      });
    }());
  }

  async::EventLoop loop_;
  async::Event changed_{loop_.executor()};
  http::Server server_{loop_, {}, [this](http::Exchange& exchange) { return answer(exchange); }};
  picker::TokenProducer::Options options_;
  int failures_ = 0;
  std::vector<std::string> asked_;
};

TEST_F(WarmTest, AskedUntilItAnswersAndThenNoMore) {
  failures_ = 3;
  Renderer renderer(loop_, options_, {.tries = 10, .pause = milliseconds(1)});
  run([&](async::Scope& scope) -> Task<void> {
    scope.spawn("warm", renderer.keep_warm());
    co_await until_asked(4);
    const auto rendered = co_await renderer.render("/v1/completions", R"({"model":"m","prompt":"x"})", false);
    EXPECT_TRUE(rendered);
  });
  ASSERT_THAT(asked_, SizeIs(5));
  EXPECT_EQ(asked_[4], R"(/v1/completions/render {"model":"served","prompt":"x"})");
  asked_.pop_back();
  EXPECT_THAT(asked_, Each(HasSubstr(R"(/v1/chat/completions/render {"model":"served","messages":[)")));
}

TEST_F(WarmTest, GivesUpAfterSomeTriesUntilAClientFailsToo) {
  failures_ = 4;
  Renderer renderer(loop_, options_, {.tries = 3, .pause = milliseconds(1)});
  run([&](async::Scope& scope) -> Task<void> {
    scope.spawn("warm", renderer.keep_warm());
    co_await until_asked(3);
    const auto failed = co_await renderer.render("/v1/completions", R"({"model":"m","prompt":"x"})", false);
    EXPECT_FALSE(failed);
    co_await until_asked(5);
  });
  EXPECT_THAT(asked_, SizeIs(5));
}

TEST_F(WarmTest, AskedAgainWhenThePoolsEndpointsHaveChanged) {
  const std::string text =
      "plugins: [{type: token-producer, parameters: {modelName: served, vllm: {url: 'http://" +
      options_.server.to_string() + "'}}}]\n";
  auto picker = picker::Picker::from_config(text, "test.yaml").value();
  picker->update({{.address = {"10.0.0.1", 8000}, .name = "a"}});
  const Pools pools(*picker);
  Renderers renderers;
  renderers.start_on(loop_);
  run([&](async::Scope& scope) -> Task<void> {
    scope.spawn("renderers", renderers.keep_warm(pools));
    co_await until_asked(1);
    picker->update(
        {{.address = {"10.0.0.1", 8000}, .name = "a"}, {.address = {"10.0.0.2", 8000}, .name = "b"}});
    co_await until_asked(2);
  });
  EXPECT_THAT(asked_, SizeIs(2));
}

}  // namespace
}  // namespace llmd::extproc
