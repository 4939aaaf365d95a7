// gRPC: framing, status, and server and client against each other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "async/event.h"
#include "async/scope.h"
#include "http/grpc_client.h"
#include "http/grpc_frame.h"
#include "http/grpc_server.h"

namespace llmd::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

std::string framed(std::string_view message) {
  const auto head = grpc_head(message.size());
  return std::string(head.data(), head.size()) + std::string(message);
}

std::vector<std::string> deframe(std::string_view bytes, std::size_t step) {
  GrpcDeframer deframer(1 << 20);
  std::vector<std::string> messages;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    deframer.feed(bytes.substr(at, step));
    while (const auto message = deframer.next().value()) {
      messages.emplace_back(*message);
    }
  }
  EXPECT_TRUE(deframer.at_boundary());
  return messages;
}

TEST(GrpcDeframer, AnySplitGivesTheSameMessages) {
  const std::string bytes = framed("one") + framed("") + framed(std::string(300, 'x')) + framed("four");
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    EXPECT_THAT(deframe(bytes, step), ElementsAre("one", "", std::string(300, 'x'), "four")) << step;
  }
}

TEST(GrpcDeframer, AMessageThatIsKeptStaysWhileOthersCome) {
  std::string bytes;
  for (const char letter : {'a', 'b', 'c'}) {
    bytes += framed(std::string(30'000, letter));
  }
  GrpcDeframer deframer(1 << 20);
  std::vector<std::pair<std::string_view, std::shared_ptr<const void>>> kept;
  for (std::size_t at = 0; at < bytes.size(); at += 16'384) {
    deframer.feed(std::string_view(bytes).substr(at, 16'384));
    while (const auto message = deframer.next().value()) {
      kept.emplace_back(*message, deframer.keep());
      EXPECT_NE(kept.back().second, nullptr) << "it came in pieces";
    }
  }
  ASSERT_EQ(kept.size(), 3U);
  EXPECT_EQ(kept[0].first, std::string(30'000, 'a'));
  EXPECT_EQ(kept[1].first, std::string(30'000, 'b'));
  EXPECT_EQ(kept[2].first, std::string(30'000, 'c'));
  const std::string last = framed("whole");
  deframer.feed(last);
  EXPECT_EQ(deframer.next().value(), "whole");
  EXPECT_EQ(deframer.keep(), nullptr) << "it lies in what was fed";
}

TEST(GrpcDeframer, RefusesWhatItCannotTake) {
  const auto refusal = [](std::string_view bytes) {
    GrpcDeframer deframer(10);
    deframer.feed(bytes);
    const auto message = deframer.next();
    return message ? ErrorKind::Cancelled : message.error().kind;
  };
  EXPECT_EQ(refusal(framed("eleven byte")), ErrorKind::ResourceExhausted);
  EXPECT_EQ(refusal(std::string("\x01\0\0\0\x01z", 6)), ErrorKind::Unimplemented) << "compressed";
  EXPECT_EQ(refusal(std::string("\x02\0\0\0\x01z", 6)), ErrorKind::Internal);
}

TEST(GrpcTimeout, IsReadInEveryUnit) {
  EXPECT_EQ(parse_grpc_timeout("5S"), seconds(5));
  EXPECT_EQ(parse_grpc_timeout("20m"), milliseconds(20));
  EXPECT_EQ(parse_grpc_timeout("1H"), std::chrono::hours(1));
  EXPECT_EQ(parse_grpc_timeout("3M"), std::chrono::minutes(3));
  EXPECT_EQ(parse_grpc_timeout("7u"), std::chrono::microseconds(7));
  EXPECT_EQ(parse_grpc_timeout("99999999n"), std::chrono::nanoseconds(99999999));
  EXPECT_TRUE(parse_grpc_timeout("99999999H")) << "longer than anybody waits, but legal";
  for (const char* wrong : {"", "S", "5", "5x", "-5S", "+5S", "123456789S", "5 S"}) {
    EXPECT_FALSE(parse_grpc_timeout(wrong)) << wrong;
  }
}

TEST(GrpcMessage, SurvivesAnyText) {
  const std::string text = "50 % of \xc3\xa9t\xc3\xa9\nnext line";
  EXPECT_EQ(encode_grpc_message(text), "50 %25 of %C3%A9t%C3%A9%0Anext line");
  EXPECT_EQ(decode_grpc_message(encode_grpc_message(text)), text);
}

class Echo final : public GrpcHandler {
 public:
  Echo(GrpcCall& call, int& alive) : call_(call), alive_(alive) { ++alive_; }
  ~Echo() override { --alive_; }
  void on_message(std::string_view message) override {
    if (message == "fail") {
      call_.finish({GrpcCode::NotFound, "there is no such thing"});
    } else {
      call_.send("<" + std::string(message) + ">");
    }
  }
  void on_half_close() override { call_.finish({}); }

 private:
  GrpcCall& call_;
  int& alive_;
};

class Grpc : public testing::Test {
 public:
  void SetUp() override {
    server_ = std::make_unique<GrpcServer>(loop_, GrpcServerOptions{.max_message_bytes = 4 << 20});
    server_->add("/test.Echo/Chat", [this](GrpcCall& call) { return std::make_unique<Echo>(call, alive_); });
    address_ = server_->listen({"127.0.0.1", 0}).value();
    scope_.spawn("server", server_->run());
    client_ = loop_.block_on(Http2Client::connect(scope_, address_, {})).value();
  }
  void TearDown() override {
    client_.reset();
    loop_.block_on(scope_.close());
    EXPECT_EQ(alive_, 0) << "a handler was left";
  }
  Result<std::string> call(std::string path, std::string_view message, GrpcCallOptions options = {}) {
    return loop_.block_on(grpc_call(*client_, std::move(path), message, std::move(options)));
  }
  Task<void> until_alive(int wanted) {
    while (alive_ != wanted) {
      co_await async::sleep(milliseconds(1));
    }
  }

  async::EventLoop loop_;
  async::Scope scope_{loop_};
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<Http2Client> client_;
  net::Address address_;
  int alive_ = 0;
};

TEST_F(Grpc, MessagesGoBothWays) {
  loop_.block_on([](Grpc& test) -> Task<void> {
    const auto chat = grpc_open(*test.client_, "/test.Echo/Chat").value();
    for (const std::string& message : {std::string("a"), std::string(), std::string(3 << 20, 'x')}) {
      EXPECT_TRUE(co_await chat->send(message));
      const auto answer = co_await chat->receive();
      EXPECT_EQ(answer.value().value(), "<" + message + ">");
    }
    chat->half_close();
    EXPECT_EQ((co_await chat->receive()).value(), std::nullopt) << "the status is OK";
  }(*this));
}

TEST_F(Grpc, AStatusIsAnErrorWithItsMessage) {
  const auto failed = call("/test.Echo/Chat", "fail");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, ErrorKind::NotFound);
  EXPECT_THAT(failed.error().message, HasSubstr("there is no such thing"));
}

TEST_F(Grpc, UnknownMethodsAndMessagesThatAreTooLargeAreRefused) {
  EXPECT_EQ(call("/test.Echo/Nothing", "x").error().kind, ErrorKind::Unimplemented);
  EXPECT_EQ(call("/test.Echo/Chat", std::string(5 << 20, 'x')).error().kind, ErrorKind::ResourceExhausted);
  EXPECT_EQ(call("/test.Echo/Chat", "x").value(), "<x>") << "the connection goes on";
}

TEST_F(Grpc, ACancelledCallReleasesItsHandler) {
  loop_.block_on([](Grpc& test) -> Task<void> {
    {
      const auto chat = grpc_open(*test.client_, "/test.Echo/Chat").value();
      EXPECT_TRUE(co_await chat->send("x"));
      co_await test.until_alive(1);
    }
    co_await test.until_alive(0);
  }(*this));
}

TEST_F(Grpc, ALostConnectionReleasesEveryHandler) {
  loop_.block_on([](Grpc& test) -> Task<void> {
    std::vector<std::unique_ptr<GrpcStream>> chats;
    for (int i = 0; i < 50; ++i) {
      chats.push_back(grpc_open(*test.client_, "/test.Echo/Chat").value());
    }
    co_await test.until_alive(50);
    test.client_.reset();
    co_await test.until_alive(0);
    EXPECT_FALSE(co_await chats.front()->receive());
  }(*this));
}

TEST_F(Grpc, TheServerKeepsTheDeadlineOfACall) {
  loop_.block_on([](Grpc& test) -> Task<void> {
    const auto chat =
        grpc_open(*test.client_, "/test.Echo/Chat", {.metadata = {{"grpc-timeout", "30m"}}}).value();
    const auto answer = co_await chat->receive();
    EXPECT_EQ(answer.error().kind, ErrorKind::DeadlineExceeded);
    co_await test.until_alive(0);
  }(*this));
}

TEST_F(Grpc, PlainRequestsAreNotCalls) {
  const auto status = loop_.block_on([](Grpc& test) -> Task<int> {
    const auto response = (co_await test.client_->send({.head = {.target = "/test.Echo/Chat"}})).value();
    co_return response->status();
  }(*this));
  EXPECT_EQ(status, 405);
}

TEST_F(Grpc, DrainWaitsForCalls) {
  loop_.block_on([](Grpc& test) -> Task<void> {
    const auto chat = grpc_open(*test.client_, "/test.Echo/Chat").value();
    EXPECT_TRUE(co_await chat->send("x"));
    co_await test.until_alive(1);
    test.scope_.spawn("drain", test.server_->drain(async::Deadline::after(seconds(30))));
    EXPECT_EQ((co_await chat->receive()).value().value(), "<x>");
    while (test.client_->usable()) {
      co_await async::sleep(milliseconds(1));
    }
    EXPECT_TRUE(co_await chat->send("y"));
    EXPECT_EQ((co_await chat->receive()).value().value(), "<y>");
    chat->half_close();
    EXPECT_EQ((co_await chat->receive()).value(), std::nullopt);
  }(*this));
}

}  // namespace
}  // namespace llmd::http
