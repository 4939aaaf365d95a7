#include "storage/fetch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "base/file.h"
#include "storage/command.h"
#include "storage/testing_fetch.h"

namespace llmd::storage {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

using Fetch = FetchTest;

TEST_F(Fetch, DownloadsAPageAndVerifiesIt) {
  std::uint64_t most = 0;
  options_.on_progress = [&](const Progress& progress) { most = std::max(most, progress.bytes); };
  const auto fetched = fetch_page("/a/model.gguf#sha256=" + digest());
  ASSERT_TRUE(fetched) << fetched.error().text();
  EXPECT_EQ(fetched->path, folder_.path() / "models/model.gguf");
  EXPECT_EQ(fetched->sha256, digest());
  EXPECT_EQ(content_of(fetched), site_.content);
  EXPECT_EQ(most, site_.content.size());
  EXPECT_THAT(leftovers(), UnorderedElementsAre("model.gguf", ".model.gguf.fetched"));
}

TEST_F(Fetch, ASecondTimeCostsNoRequest) {
  serve([&](std::string base) -> Task<void> {
    const auto first = co_await fetch_text(base + "/model.gguf");
    EXPECT_TRUE(first && !first->was_there);
    const auto second = co_await fetch_text(base + "/model.gguf");
    EXPECT_TRUE(second && second->was_there);
    EXPECT_EQ(second->sha256, digest());
    EXPECT_EQ(site_.requests, 1);
    const auto other = co_await fetch_text(base + "/other/model.gguf");
    EXPECT_TRUE(other && !other->was_there) << "another URI with the same file name is another file";
  });
}

TEST_F(Fetch, ContinuesABrokenDownloadWhereItBroke) {
  site_.break_after = 1'100'000;
  const auto fetched = fetch_page("/model.gguf#sha256=" + digest());
  ASSERT_TRUE(fetched) << fetched.error().text();
  EXPECT_EQ(content_of(fetched), site_.content);
  ASSERT_EQ(site_.requests, 3);
  EXPECT_EQ(site_.ranges[0], "-");
  EXPECT_EQ(site_.ranges[1], "bytes=1100000-");
}

TEST_F(Fetch, ALaterRunContinuesWhatAnEarlierOneLeft) {
  serve([&](std::string base) -> Task<void> {
    site_.break_after = 1'100'000;
    site_.breaks = 1;
    options_.max_retries = 0;
    const auto broken = co_await fetch_text(base + "/model.gguf");
    EXPECT_FALSE(broken);
    EXPECT_EQ(broken.error().kind, ErrorKind::Unavailable) << broken.error().text();
    EXPECT_THAT(broken.error().advice, HasSubstr("it continues after"));
    EXPECT_THAT(leftovers(), UnorderedElementsAre(".model.gguf.part", ".model.gguf.part.json"));
    const auto fetched = co_await fetch_text(base + "/model.gguf");
    EXPECT_TRUE(fetched);
    EXPECT_EQ(content_of(fetched), site_.content);
    EXPECT_EQ(site_.ranges.back(), "bytes=1100000-");
  });
}

TEST_F(Fetch, APageThatChangedIsFetchedFromItsBeginning) {
  serve([&](std::string base) -> Task<void> {
    site_.break_after = 1'100'000;
    site_.breaks = 1;
    options_.max_retries = 0;
    EXPECT_FALSE(co_await fetch_text(base + "/model.gguf"));
    site_.content = some_content(2'000'000);
    site_.content[0] = 'X';
    site_.etag = "\"v2\"";
    const auto fetched = co_await fetch_text(base + "/model.gguf");
    EXPECT_TRUE(fetched);
    EXPECT_EQ(content_of(fetched), site_.content);
  });
}

TEST_F(Fetch, WithoutAValidatorNothingIsKept) {
  site_.etag = "";
  site_.break_after = 1'100'000;
  const auto fetched = fetch_page("/model.gguf");
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::Unavailable);
  EXPECT_THAT(leftovers(), IsEmpty());
}

TEST_F(Fetch, AWrongHashLeavesNothing) {
  const auto fetched = fetch_page("/model.gguf#sha256=" + std::string(64, '0'));
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::DataLoss);
  EXPECT_THAT(fetched.error().message, HasSubstr(digest()));
  EXPECT_THAT(leftovers(), IsEmpty());
}

TEST_F(Fetch, FollowsRedirectsAndStopsGoingInCircles) {
  site_.redirect = "/b/model.gguf";
  const auto fetched = fetch_page("/old");
  ASSERT_TRUE(fetched) << fetched.error().text();
  EXPECT_EQ(content_of(fetched), site_.content);
  site_.redirect = "/old";
  options_.max_retries = 0;
  EXPECT_THAT(fetch_page("/old").error().message, HasSubstr("more than 10 redirects"));
  site_.redirect = "http://example.org/model.gguf";
  EXPECT_THAT(fetch_page("/old").error().message, HasSubstr("cannot be followed"));
}

TEST_F(Fetch, MissingPagesAreNotRetried) {
  site_.status = 404;
  const auto fetched = fetch_page("/model.gguf");
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::NotFound);
  EXPECT_EQ(site_.requests, 1);
  EXPECT_THAT(leftovers(), IsEmpty());
}

TEST_F(Fetch, ABusyServerIsAskedAgain) {
  site_.status = 503;
  EXPECT_EQ(fetch_page("/model.gguf").error().kind, ErrorKind::Unavailable);
  EXPECT_EQ(site_.requests, 3);
}

TEST_F(Fetch, NoServerIsUnavailableWithAHint) {
  const auto fetched = fetch_uri("http://127.0.0.1:1/model.gguf");
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::Unavailable);
  EXPECT_THAT(fetched.error().advice, HasSubstr("check the network"));
  EXPECT_THAT(leftovers(), IsEmpty());
}

// A folder on a file system of one megabyte.
class FullDisk : public Fetch {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_.path() / "models");
    if (::mount("tmpfs", (folder_.path() / "models").c_str(), "tmpfs", 0, "size=1m") != 0) {
      GTEST_SKIP() << "needs the right to mount a tmpfs";
    }
    mounted_ = true;
  }
  void TearDown() override {
    if (mounted_) {
      ::umount2((folder_.path() / "models").c_str(), MNT_DETACH);
    }
  }
  bool mounted_ = false;
};

TEST_F(FullDisk, IsAnotherFileSystemToWhichLocalFilesAreCopiedOnce) {
  std::ofstream(folder_.path() / "model.gguf") << "weights";
  const std::string uri = fmt::format("file://{}/model.gguf", folder_.path().string());
  const auto copied = fetch_uri(uri);
  ASSERT_TRUE(copied) << copied.error().text();
  EXPECT_EQ(content_of(copied), "weights");
  EXPECT_TRUE(fetch_uri(uri)->was_there);
  std::ofstream(folder_.path() / "large") << some_content(3'000'000);
  const auto large = fetch_uri(fmt::format("file://{}/large", folder_.path().string()));
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().kind, ErrorKind::ResourceExhausted);
  EXPECT_THAT(leftovers(), UnorderedElementsAre("model.gguf", ".model.gguf.fetched"));
}

TEST_F(FullDisk, IsNoticedBeforeTheDownloadWhenTheSizeIsKnown) {
  const auto fetched = fetch_page("/model.gguf");
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::ResourceExhausted);
  EXPECT_THAT(fetched.error().text(), HasSubstr("are needed"));
  EXPECT_THAT(leftovers(), IsEmpty());
}

TEST_F(FullDisk, LeavesNothingWhenItFillsUpMeanwhile) {
  site_.chunked = true;
  const auto fetched = fetch_page("/model.gguf");
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::ResourceExhausted);
  EXPECT_THAT(fetched.error().text(), HasSubstr("the disk is full"));
  EXPECT_THAT(leftovers(), IsEmpty());
}

TEST_F(Fetch, AFileSizeLimitLeavesNothing) {
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const rlimit small{1'000'000, old.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  const auto fetched = fetch_page("/model.gguf");
  ::setrlimit(RLIMIT_FSIZE, &old);
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::ResourceExhausted) << fetched.error().text();
  EXPECT_THAT(leftovers(), IsEmpty());
}

// Children that fetch when they read the URL from a pipe; forked before this process has threads.
struct Child {
  pid_t pid;
  int write_end;
};
Child fork_fetcher(const std::filesystem::path& directory) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::close(ends[1]);
    std::string url(300, '\0');
    const ssize_t size = ::read(ends[0], url.data(), url.size());
    url.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    const std::vector<std::string> arguments{url, directory.string(), "--progress=none"};
    ::_exit(run_fetch(arguments) ? 0 : 1);
  }
  ::close(ends[0]);
  return {pid, ends[1]};
}

TEST_F(Fetch, SeveralProcessesFetchTheSameFileOnce) {
  std::vector<Child> children;
  for (int i = 0; i < 4; ++i) {
    children.push_back(fork_fetcher(folder_.path() / "models"));
  }
  serve([&](std::string base) -> Task<void> {
    const std::string url = base + "/model.gguf";
    for (const Child& child : children) {
      EXPECT_EQ(::write(child.write_end, url.data(), url.size()), static_cast<ssize_t>(url.size()));
      ::close(child.write_end);
    }
    for (const Child& child : children) {
      int status = -1;
      while (::waitpid(child.pid, &status, WNOHANG) == 0) {
        co_await async::sleep(std::chrono::milliseconds(5));
      }
      EXPECT_EQ(status, 0);
    }
  });
  EXPECT_EQ(site_.requests, 1);
  EXPECT_EQ(*read_file(folder_.path() / "models/model.gguf"), site_.content);
  EXPECT_THAT(leftovers(), UnorderedElementsAre("model.gguf", ".model.gguf.fetched"));
}

TEST_F(Fetch, SeveralProcessesMayLinkTheSameFolder) {
  std::filesystem::create_directories(folder_.path() / "source/sub");
  for (int i = 0; i < 50; ++i) {
    std::ofstream(folder_.path() / fmt::format("source/sub/{}", i)) << i;
  }
  const std::string uri = fmt::format("file://{}/source", folder_.path().string());
  std::vector<Child> children;
  for (int i = 0; i < 4; ++i) {
    children.push_back(fork_fetcher(folder_.path() / "models"));
  }
  for (const Child& child : children) {
    EXPECT_EQ(::write(child.write_end, uri.data(), uri.size()), static_cast<ssize_t>(uri.size()));
    ::close(child.write_end);
  }
  for (const Child& child : children) {
    int status = -1;
    ::waitpid(child.pid, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_THAT(leftovers(), UnorderedElementsAre("sub"));
  EXPECT_EQ(names_in(folder_.path() / "models/sub").size(), 50U);
}

TEST_F(Fetch, LinksLocalFilesAndFolders) {
  std::filesystem::create_directories(folder_.path() / "source/sub");
  std::ofstream(folder_.path() / "source/model.gguf") << "weights";
  std::ofstream(folder_.path() / "source/sub/x") << "x";
  const auto file = fetch_uri(fmt::format("file://{}/source/model.gguf", folder_.path().string()));
  ASSERT_TRUE(file) << file.error().text();
  EXPECT_EQ(content_of(file), "weights");
  EXPECT_EQ(std::filesystem::hard_link_count(file->path), 2U);
  const auto again = fetch_uri(fmt::format("file://{}/source/model.gguf", folder_.path().string()));
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_TRUE(again->was_there);
  std::ofstream(folder_.path() / "source/new") << "other";
  std::filesystem::rename(folder_.path() / "source/new", folder_.path() / "source/model.gguf");
  const auto changed = fetch_uri(fmt::format("file://{}/source/model.gguf", folder_.path().string()));
  ASSERT_TRUE(changed) << changed.error().text();
  EXPECT_EQ(content_of(changed), "other");
  const auto folder = fetch_uri(fmt::format("file://{}/source", folder_.path().string()));
  ASSERT_TRUE(folder) << folder.error().text();
  EXPECT_EQ(folder->path, folder_.path() / "models");
  EXPECT_EQ(*read_file(folder_.path() / "models/sub/x"), "x");
  const auto missing = fetch_uri("file:///no/such/model");
  EXPECT_EQ(missing.error().kind, ErrorKind::NotFound);
}

TEST_F(Fetch, SaysWhatItDoesNotDownload) {
  for (const char* uri :
       {"hf://org/model", "s3://bucket/key", "gs://bucket/key", "oci://registry/image", "pvc://claim/path"}) {
    const auto fetched = fetch_uri(uri);
    ASSERT_FALSE(fetched);
    EXPECT_EQ(fetched.error().kind, ErrorKind::Unimplemented) << uri;
    EXPECT_THAT(fetched.error().advice, testing::Not(IsEmpty())) << uri;
  }
}

TEST(FetchCommand, RefusesWhatItDoesNotUnderstand) {
  const std::vector<std::string> one{"file:///x"};
  EXPECT_EQ(run_fetch(one).error().kind, ErrorKind::InvalidArgument);
  const std::vector<std::string> flag{"file:///x", "/tmp", "--progres=bar"};
  EXPECT_EQ(run_fetch(flag).error().advice, "did you mean '--progress'?");
}

}  // namespace
}  // namespace llmd::storage
