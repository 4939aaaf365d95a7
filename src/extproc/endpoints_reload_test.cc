// An endpoints file that changes while pools are served from it.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "async/scope.h"
#include "base/file.h"
#include "extproc/served_pools.h"
#include "picker/datalayer/watched_file.h"

namespace llmd::extproc {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class EndpointsReload : public testing::Test {
 protected:
  void SetUp() override {
    file = std::filesystem::path(testing::TempDir()) /
           ("reload-" + std::to_string(::getpid()) +
            std::string(testing::UnitTest::GetInstance()->current_test_info()->name()) + ".yaml");
    write(kTwo);
  }
  void TearDown() override { std::filesystem::remove(file); }
  void write(std::string_view text) { ASSERT_TRUE(write_file_atomically(file, text)); }

  std::vector<std::string> endpoints() const {
    std::vector<std::string> all;
    if (const PoolPtr only = pools.pools()->only()) {
      for (const picker::EndpointPtr& endpoint : only->picker->endpoints()->endpoints) {
        all.push_back(endpoint->full_name + "=" + endpoint->destination);
      }
    }
    return all;
  }
  // Serves the file while `steps` run.
  void follow(const std::function<Task<void>()>& steps) {
    ASSERT_TRUE(pools.apply(picker::parse_endpoints(kTwo, "e.yaml").value(), file.parent_path()));
    const auto scene = [&]() -> Task<void> {
      co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
        scope.spawn("file",
                    picker::watch_endpoints(file, std::string(kTwo), [this](picker::EndpointsFile read) {
                      EXPECT_TRUE(pools.apply(read, file.parent_path()));
                      ++taken;
                    }));
        co_await steps();
      });
    };
    loop.block_on(scene());
  }
  Task<void> until_taken(int count) {
    const auto deadline = async::Deadline::after(std::chrono::seconds(30));
    while (taken < count && !deadline.expired()) {
      co_await async::sleep(std::chrono::milliseconds(5));
    }
    EXPECT_EQ(taken, count);
  }

  static constexpr std::string_view kTwo =
      "endpoints:\n- {name: a, address: 10.0.0.1, port: \"8000\"}\n"
      "- {name: b, namespace: team, address: 10.0.0.2, port: \"8000\"}\n";
  std::filesystem::path file;
  async::EventLoop loop;
  ServedPools pools{loop, {}};
  int taken = 0;
};

TEST_F(EndpointsReload, WhatIsNoLongerListedHasGoneAndWhatStaysKeepsItsRequests) {
  follow([this]() -> Task<void> {
    EXPECT_THAT(endpoints(), ElementsAre("default/a=10.0.0.1:8000", "team/b=10.0.0.2:8000"));
    const auto b = pools.pools()->only()->picker->endpoints()->endpoints[1];
    const picker::Lease request(b);
    write(
        "endpoints:\n- {name: b, namespace: team, address: 10.0.0.2, port: 8000}\n"
        "- {name: c, address: engine.example.com, port: 80}\n");
    co_await until_taken(1);
    EXPECT_THAT(endpoints(), ElementsAre("team/b=10.0.0.2:8000", "default/c=engine.example.com:80"));
    EXPECT_EQ(pools.pools()->only()->picker->endpoints()->endpoints[0]->running(), 1);
    write("endpoints: []\n");
    co_await until_taken(2);
    EXPECT_THAT(endpoints(), IsEmpty());
  });
}

// The watcher has passed what is wrong once it has taken what came after it.
TEST_F(EndpointsReload, WhatIsWrongOrTooLargeOrNotThereChangesNothing) {
  follow([this]() -> Task<void> {
    const std::string large = "endpoints: []\n# " + std::string(picker::kMostFileBytes, 'x') + "\n";
    for (const std::string& wrong :
         {large, std::string("endpoints: [{name: a, address: 10.0.0.1, port: 70000}]\n"),
          std::string("endpoints")}) {
      write(wrong);
      co_await async::sleep(std::chrono::milliseconds(1100));
      EXPECT_THAT(endpoints(), ElementsAre("default/a=10.0.0.1:8000", "team/b=10.0.0.2:8000"));
    }
    EXPECT_EQ(taken, 0);
    std::filesystem::remove(file);
    write("endpoints: [{name: d, address: 10.0.0.4, port: 1}]\n");
    co_await until_taken(1);
    EXPECT_THAT(endpoints(), ElementsAre("default/d=10.0.0.4:1"));
  });
}

TEST(EndpointsFileLimit, AnExactMebibyteIsRead) {
  const auto file = std::filesystem::path(testing::TempDir()) / fmt::format("limit-{}.yaml", ::getpid());
  const std::string text = "endpoints: []\n#";
  ASSERT_TRUE(write_file_atomically(file, text + std::string(picker::kMostFileBytes - text.size(), 'x')));
  EXPECT_TRUE(read_file(file, picker::kMostFileBytes));
  ASSERT_TRUE(write_file_atomically(file, text + std::string(picker::kMostFileBytes + 1 - text.size(), 'x')));
  EXPECT_FALSE(read_file(file, picker::kMostFileBytes));
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace llmd::extproc
