// What the tests of fetch() share: a folder, a web server with bad habits, and a fetch that runs beside it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "async/scope.h"
#include "base/file.h"
#include "http/server.h"
#include "storage/fetch.h"
#include "storage/testing_wheel.h"

namespace llmd::storage {

inline std::string some_content(std::size_t size) {
  std::string content(size, '\0');
  std::uint32_t state = 1;
  for (char& c : content) {
    state = state * 1664525 + 1013904223;
    c = static_cast<char>(state >> 24);
  }
  return content;
}

inline std::vector<std::string> names_in(const std::filesystem::path& folder) {
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

class FetchTest : public testing::Test {
 protected:
  FetchTest() {
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

}  // namespace llmd::storage
