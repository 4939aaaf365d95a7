#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include <filesystem>

#include "base/file.h"
#include "cli/credentials.h"
#include "cli/data_directory.h"
#include "cli/live_status.h"
#include "cli/up_options.h"

namespace llmd::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Words = std::vector<std::string>;

kube::Object object(std::string_view text) {
  return boost::json::parse(text).as_object();
}

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "llmd-cli-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

const kube::Object kService = object(R"({"metadata": {"name": "chat", "namespace": "default"},
  "status": {"conditions": [{"type": "Ready", "status": "False", "message": "0 of 2 replicas are ready"}]}})");

std::vector<std::string> lines_for(const kube::Object& pod, const std::string& progress = {}) {
  return status_lines({&kService}, {&pod}, [&](const kube::Object&) { return progress; });
}

TEST(LiveStatus, AServiceSaysWhatItWaitsForAndAPodWhatItDoes) {
  const auto pod = object(R"({"metadata": {"name": "chat-1", "namespace": "default",
      "labels": {"app.kubernetes.io/name": "chat"}},
    "status": {"containerStatuses": [{"name": "main", "ready": false, "state": {"running": {}}, "restartCount": 1}]}})");
  EXPECT_THAT(lines_for(pod), ElementsAre("default/chat  not ready  0 of 2 replicas are ready",
                                          "  chat-1  main: starting again (restart 1)"));
}

TEST(LiveStatus, AReasonTheNodeGivesIsShown) {
  const auto pod = object(R"({"metadata": {"name": "chat-1", "namespace": "default",
      "labels": {"app.kubernetes.io/name": "chat"}},
    "status": {"containerStatuses": [{"name": "main", "ready": false,
      "state": {"waiting": {"reason": "CreateContainerConfigError", "message": "program 'x' has no engine profile"}}}]}})");
  EXPECT_THAT(lines_for(pod)[1], HasSubstr("CreateContainerConfigError: program 'x' has no engine profile"));
}

TEST(LiveStatus, APodThatFetchesShowsHowFarItIs) {
  const auto pod = object(R"({"metadata": {"name": "chat-1", "namespace": "default",
      "labels": {"app.kubernetes.io/name": "chat"}},
    "status": {"initContainerStatuses": [{"name": "fetch", "ready": false, "state": {"running": {}}}]}})");
  EXPECT_THAT(lines_for(pod, "fetching the model, 34 % of 97.2 MiB")[1],
              HasSubstr("fetch: fetching the model, 34 % of 97.2 MiB"));
}

TEST(LiveStatus, ProgressIsTheLastLineOfTheFetchersLog) {
  const TemporaryFolder folder;
  const auto log = folder.path() / "fetch.log";
  ASSERT_TRUE(write_file_atomically(log,
                                    "{\"event\":\"progress\",\"bytes\":1,\"total\":200}\n"
                                    "{\"event\":\"progress\",\"bytes\":50,\"total\":200}\n{\"event\":\"pro"));
  EXPECT_EQ(fetch_progress(log), "fetching the model, 25 % of 200 B");
  EXPECT_EQ(fetch_progress(folder.path() / "absent"), "");
}

TEST(DataDirectory, OnlyOneProcessHoldsIt) {
  const TemporaryFolder folder;
  const auto data = DataDirectory::open((folder.path() / "data").string());
  ASSERT_TRUE(data) << data.error().text();
  const auto first = data->lock();
  ASSERT_TRUE(first) << first.error().text();
  const auto second = data->lock();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::FailedPrecondition);
}

TEST(Credentials, AreMadeOnceAndReadableByTheUserOnly) {
  const TemporaryFolder folder;
  const auto data = DataDirectory::open(folder.path().string());
  ASSERT_TRUE(data) << data.error().text();
  const auto first = ensure_credentials(*data);
  const auto second = ensure_credentials(*data);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->token, second->token);
  EXPECT_EQ(first->certificate_pem, second->certificate_pem);
  for (const auto& path : {data->token(), data->key()}) {
    EXPECT_EQ(std::filesystem::status(path).permissions(),
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }
}

TEST(UpOptions, AMistypedOptionNamesTheNearestOne) {
  const auto options = parse_up_options(Words{"--api-prot", "1"});
  ASSERT_FALSE(options);
  EXPECT_EQ(options.error().kind, ErrorKind::InvalidArgument);
  EXPECT_THAT(options.error().advice, HasSubstr("--api-port"));
}

}  // namespace
}  // namespace llmd::cli
