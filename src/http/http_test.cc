// Server and client against each other, over real sockets.
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

TEST_F(Http, AnswersARequestWithItsBody) {
  serve(echo);
  const auto answer = ask(request("POST", "/a?b=c", "hello"));
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "POST /a?b=c hello");
  EXPECT_EQ(answer->headers.find("content-type"), "text/plain");
}

TEST_F(Http, KeepsTheConnectionForTheNextRequest) {
  serve(echo);
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(ask(request("POST", "/", "again")));
  }
  EXPECT_EQ(server_->connections(), 1U);
}

TEST_F(Http, CarriesABodyOfManyMegabytesBothWays) {
  serve(echo);
  const std::string big(20 << 20, 'x');
  const auto answer = loop_.block_on(fetch(pool_, request("POST", "/", big), 64 << 20));
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->body, "POST / " + big);
}

TEST_F(Http, StreamsAChunkedAnswer) {
  serve([](Exchange& exchange) -> Task<void> {
    co_await exchange.start({200, {{"Content-Type", "text/event-stream"}}}, "data: 0\n\n");
    co_await exchange.write("data: 1\n\n");
    co_await exchange.write("");
    co_await exchange.finish("data: 2\n\n");
  });
  const auto answer = ask(request("GET", "/"));
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->body, "data: 0\n\ndata: 1\n\ndata: 2\n\n");
  EXPECT_TRUE(ask(request("GET", "/")));
  EXPECT_EQ(server_->connections(), 1U);
}

// Answers with the body, of which it has only noted where it begins and how long it is.
Task<void> echo_kept(Exchange& exchange) {
  std::string_view kept;
  const bool keeps = exchange.body().keep();
  while (keeps) {
    const auto piece = co_await exchange.body().next();
    if (!piece || piece->empty()) {
      break;
    }
    kept = kept.empty() ? *piece : std::string_view(kept.data(), kept.size() + piece->size());
  }
  co_await exchange.respond(200, "text/plain", keeps ? kept : "cannot keep it");
}

TEST_F(Http, KeepsABodyWhereItArrived) {
  serve(echo_kept);
  for (const std::size_t size : {0, 1, 5000, 3 << 20, 100}) {
    std::string content;
    while (content.size() < size) {
      content += std::to_string(content.size()) + " ";
    }
    const auto answer = ask(request("POST", "/", content));
    ASSERT_TRUE(answer) << answer.error().text();
    EXPECT_EQ(answer->body, content);
  }
  EXPECT_THAT(raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
                  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nother"),
              AllOf(HasSubstr("\r\n\r\noneHTTP/1.1"), testing::EndsWith("other")));
  EXPECT_THAT(raw("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                  "1\r\nx\r\n0\r\n\r\n"),
              testing::EndsWith("cannot keep it"));
}

// Gives `pieces` as they are asked for.
class PieceByPiece : public BodyReader {
 public:
  explicit PieceByPiece(std::vector<std::string> pieces) : pieces_(std::move(pieces)) {}
  Task<Result<std::string_view>> next() override {
    if (given_ == pieces_.size()) {
      co_return std::string_view();
    }
    co_await async::sleep(milliseconds(1));
    co_return pieces_[given_++];
  }
  std::optional<std::uint64_t> length() const override { return std::nullopt; }

 private:
  std::vector<std::string> pieces_;
  std::size_t given_ = 0;
};

TEST_F(Http, StreamsARequestBodyAsItArrives) {
  serve(echo);
  PieceByPiece body({"one ", "two ", "three"});
  auto streaming = request("POST", "/");
  streaming.stream = &body;
  const auto answer = ask(std::move(streaming));
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->body, "POST / one two three");
}

TEST_F(Http, AnEarlyAnswerEndsTheStreamingOfARequest) {
  serve([](Exchange& exchange) -> Task<void> { co_await exchange.respond(403, "text/plain", "no"); });
  PieceByPiece body(std::vector<std::string>(100000, std::string(1000, 'x')));
  auto streaming = request("POST", "/");
  streaming.stream = &body;
  const auto answer = ask(std::move(streaming));
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->status, 403);
}

}  // namespace
}  // namespace llmd::http
