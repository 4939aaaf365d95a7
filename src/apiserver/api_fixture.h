// A running API server for tests: real HTTP on a free port, a folder of its own, one loop. Tests are
// coroutines.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <filesystem>
#include <functional>
#include <string>

#include "apiserver/api_server.h"
#include "async/scope.h"
#include "http/client.h"
#include "kube/client.h"

namespace llmd::apiserver {

inline constexpr std::string_view kTestToken = "a-token-only-for-tests";

struct Got {
  int status = 0;
  boost::json::value body;
  http::Headers headers;
  const boost::json::object& object() const { return body.as_object(); }
  std::string_view text(std::string_view path) const { return kube::find_string(body.as_object(), path); }
};

class Api {
 public:
  Api(async::EventLoop& used, net::Address where, kube::Client& api)
      : client(api), loop(used), pool_(used), address_(std::move(where)) {}

  Task<Got> send(std::string method, std::string target, std::string body = {},
                 std::string type = "application/json", std::string accept = "application/json",
                 std::string token = std::string(kTestToken)) {
    http::ClientRequest request;
    request.address = address_;
    request.head.method = std::move(method);
    request.head.target = std::move(target);
    request.head.headers.add("Accept", std::move(accept));
    request.head.headers.add("User-Agent", "test/1");
    request.head.headers.add("Authorization", "Bearer " + token);
    if (!body.empty() && !type.empty()) {
      request.head.headers.add("Content-Type", std::move(type));
    }
    request.content = body;
    const auto answer = co_await http::fetch(pool_, std::move(request));
    Got got;
    EXPECT_TRUE(answer) << answer.error().text();
    if (answer) {
      boost::system::error_code no_json;
      got.status = answer->status;
      got.headers = answer->headers;
      got.body = boost::json::parse(answer->body, no_json);
      if (no_json) {
        got.body = boost::json::value(answer->body);
      }
    }
    co_return got;
  }

  kube::Client& client;
  async::EventLoop& loop;

 private:
  http::ClientPool pool_;
  net::Address address_;
};

// A folder that goes with the object.
class TestFolder {
 public:
  TestFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "llmd-apiserver-XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  TestFolder(const TestFolder&) = delete;
  ~TestFolder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

inline void with_server(const std::filesystem::path& folder, std::function<Task<void>(Api&)> test) {
  async::EventLoop loop;
  auto server = ApiServer::create(
      loop, {.data_directory = folder, .address = {"127.0.0.1", 0}, .bearer_token = std::string(kTestToken)});
  ASSERT_TRUE(server) << server.error().text();
  const auto address = (*server)->listen();
  ASSERT_TRUE(address) << address.error().text();
  auto client = kube::Client::create(
      loop,
      {.server = *address, .tls = false, .bearer_token = std::string(kTestToken), .user_agent = "test"});
  ASSERT_TRUE(client) << client.error().text();
  Api api(loop, *address, **client);
  async::Scope scope(loop);
  const std::function<Task<void>()> body = [&]() -> Task<void> {
    scope.spawn("server", (*server)->run());
    while (true) {  // the namespaces appear when the server has started
      const auto ready = co_await (*client)->get(kube::kNamespaces, {"", "kube-system"});
      if (ready) {
        break;
      }
    }
    co_await test(api);
    co_await scope.close();
  };
  loop.block_on(body());
}

inline void with_server(std::function<Task<void>(Api&)> test) {
  const TestFolder folder;
  with_server(folder.path, std::move(test));
}

inline boost::json::object parsed(std::string_view text) {
  return boost::json::parse(std::string(text)).as_object();
}

}  // namespace llmd::apiserver
