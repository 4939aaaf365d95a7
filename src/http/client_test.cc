// The client against a peer that sends chosen bytes, over real sockets; and heads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http/http_fixture.h"

namespace llmd::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

using HttpClient = Http;

struct RawAnswer {
  std::string_view name;
  std::string_view bytes;
  std::string_view body;  // or the start of the error in <>
};

void PrintTo(const RawAnswer& answer, std::ostream* out) {
  *out << answer.name;
}

class ClientReads : public Http, public testing::WithParamInterface<RawAnswer> {};

TEST_P(ClientReads, Answers) {
  answer_with(std::string(GetParam().bytes));
  const auto answer = ask(request("GET", "/"));
  const std::string seen = answer ? answer->body : "<" + std::string(to_string(answer.error().kind));
  EXPECT_EQ(seen, GetParam().body) << (answer ? "" : answer.error().message);
}

INSTANTIATE_TEST_SUITE_P(
    Table, ClientReads,
    testing::Values(
        RawAnswer{"counted", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc"},
        RawAnswer{"chunked",
                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
                  "abcd"},
        RawAnswer{"until the close", "HTTP/1.1 200 OK\r\n\r\nabc", "abc"},
        RawAnswer{"after informational heads",
                  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 200 "
                  "OK\r\nContent-Length: 1\r\n\r\na",
                  "a"},
        RawAnswer{"no content", "HTTP/1.1 204 No Content\r\n\r\nrubbish", ""},
        RawAnswer{"not modified", "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", ""},
        RawAnswer{"too short", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "<unavailable"},
        RawAnswer{"chunks cut off", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
                  "<unavailable"},
        RawAnswer{"head cut off", "HTTP/1.1 200 OK\r\nConte", "<unavailable"},
        RawAnswer{"nothing", "", "<unavailable"},
        RawAnswer{
            "both lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "<data loss"},
        RawAnswer{"not HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n", "<data loss"},
        RawAnswer{"bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
                  "<data loss"}));

TEST_F(HttpClient, ReadsNoBodyAfterHead) {
  answer_with("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", false);
  EXPECT_EQ(ask(request("HEAD", "/")).value().body, "");
}

TEST_F(HttpClient, NamesWhoItWaitedFor) {
  answer_with("", false);
  auto impatient = request("GET", "/");
  impatient.timeouts.first_byte = milliseconds(10);
  const auto answer = ask(std::move(impatient));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::DeadlineExceeded);
  EXPECT_THAT(answer.error().message, HasSubstr("response from " + address_.to_string()));
}

TEST_F(HttpClient, BoundsTheSilenceWithinABody) {
  answer_with("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", false);
  auto impatient = request("GET", "/");
  impatient.timeouts.idle = milliseconds(10);
  const auto answer = ask(std::move(impatient));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::DeadlineExceeded);
  EXPECT_THAT(answer.error().message, HasSubstr("response body from"));
}

TEST_F(HttpClient, ReplacesAPooledConnectionThatTheServerClosed) {
  // Each connection serves one request and closes without saying so.
  answer_with("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
  for (int i = 0; i < 3; ++i) {
    const auto answer = ask(request("POST", "/", "x"));
    ASSERT_TRUE(answer) << answer.error().text();
  }
}

TEST_F(HttpClient, ClosesTheConnectionOfAResponseThatIsDropped) {
  async::Event noticed(loop_.executor());
  serve([&](Exchange& exchange) -> Task<void> {
    co_await exchange.start({200, {}}, "first");
    co_await exchange.client_gone();
    noticed.set();
  });
  auto response = loop_.block_on(pool_.send(request("GET", "/"))).value();
  EXPECT_EQ(loop_.block_on(response->body().next()), "first");
  response.reset();
  EXPECT_TRUE(loop_.block_on(noticed.wait_until(async::Deadline::after(seconds(20)))));
}

TEST_F(HttpClient, ClosesTheConnectionOfARequestThatIsCancelled) {
  async::Event arrived(loop_.executor());
  async::Event noticed(loop_.executor());
  serve([&](Exchange& exchange) -> Task<void> {
    arrived.set();
    co_await exchange.client_gone();
    noticed.set();
  });
  auto client = [&]() -> Task<void> { co_await fetch(pool_, request("GET", "/")); };
  async::Scope scope(loop_);
  scope.spawn("client", client());
  loop_.block_on(arrived.wait());
  loop_.block_on(scope.close());
  EXPECT_TRUE(loop_.block_on(noticed.wait_until(async::Deadline::after(seconds(20)))));
}

TEST_F(HttpClient, SaysWhereItCouldNotConnect) {
  answer_with("");
  listener_->close();
  const auto answer = ask(request("GET", "/"));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::Unavailable);
  EXPECT_THAT(answer.error().message, HasSubstr(address_.to_string()));
}

TEST_F(HttpClient, GivesAnswersWithErrorStatusAsAnswers) {
  serve([](Exchange& exchange) -> Task<void> { co_await exchange.respond(404, "text/plain", "no"); });
  const auto answer = ask(request("GET", "/"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 404);
}

TEST_F(HttpClient, LimitsWhatFetchCollects) {
  serve([](Exchange& exchange) -> Task<void> { co_await exchange.respond(200, "text/plain", "0123456789"); });
  const auto answer = loop_.block_on(fetch(pool_, request("GET", "/"), 9));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::ResourceExhausted);
}

// --- heads

TEST(MessageTest, HeadersIgnoreCaseAndKeepSpelling) {
  Headers headers{{"Content-Type", "a"}, {"X", "1"}};
  EXPECT_EQ(headers.find("content-type"), "a");
  headers.set("content-type", "b");
  EXPECT_EQ(headers.size(), 2U);
  EXPECT_EQ(headers.find("Content-Type"), "b");
  headers.add("Connection", "Keep-Alive, Upgrade");
  EXPECT_TRUE(headers.lists("connection", "upgrade"));
  EXPECT_FALSE(headers.lists("connection", "up"));
}

TEST(MessageTest, TargetsAreTakenApart) {
  const RequestHead head{"GET", "/a/b?x=1%202&y&z=%3D", {}};
  EXPECT_EQ(head.path(), "/a/b");
  EXPECT_EQ(head.query(), "x=1%202&y&z=%3D");
  EXPECT_EQ(head.query_parameter("x"), "1 2");
  EXPECT_EQ(head.query_parameter("y"), "");
  EXPECT_EQ(head.query_parameter("z"), "=");
  EXPECT_EQ(head.query_parameter("none"), std::nullopt);
  EXPECT_EQ(percent_encode("a b/ü"), "a%20b%2F%C3%BC");
}

}  // namespace
}  // namespace llmd::http
