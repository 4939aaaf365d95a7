// A body that arrives in messages leaves as the same bytes, however it is cut.
#include "extproc/body_pieces.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace llmd::extproc {
namespace {

// A call whose messages can be taken over.
class KeepingCall final : public http::GrpcCall {
 public:
  const http::RequestHead& request() const override { return head_; }
  net::Address peer() const override { return {"127.0.0.1", 1}; }
  void send(std::span<const http::KeptBytes>) override {}
  void send_later() override {}
  std::shared_ptr<const void> keep_message() override { return message; }
  void finish(http::GrpcStatus) override {}
  void flush() override {}
  std::size_t queued() const override { return 0; }
  async::Scope& tasks() override { std::abort(); }
  Executor executor() const override { std::abort(); }

  std::shared_ptr<const std::string> message;

 private:
  http::RequestHead head_;
};

std::string taken(BodyPieces& body, std::size_t most) {
  std::vector<http::KeptBytes> pieces;
  body.take(most, pieces);
  std::string text;
  for (const http::KeptBytes& piece : pieces) {
    text += piece.bytes;
  }
  return text;
}

TEST(BodyPieces, LeaveAsTheyCameHoweverTheyAreCut) {
  for (const std::size_t step : {1U, 100U, 62'000U, 1'000'000U}) {
    KeepingCall call;
    BodyPieces body;
    std::string whole;
    std::string back;
    for (const std::size_t size : {10U, 3000U, 1U, 2047U, 70'000U, 200U, 2048U, 9U}) {
      call.message = std::make_shared<const std::string>(size, static_cast<char>('a' + size % 26));
      whole += *call.message;
      body.append(*call.message, &call);
      back += taken(body, step);
      EXPECT_EQ(body.size(), whole.size() - back.size());
    }
    call.message = nullptr;
    while (!body.empty()) {
      back += taken(body, std::max<std::size_t>(step, 64));
    }
    EXPECT_EQ(back, whole) << "cut by " << step;
  }
}

TEST(BodyPieces, ALargePieceStaysInItsMessage) {
  KeepingCall call;
  call.message = std::make_shared<const std::string>(5000, 'x');
  BodyPieces body;
  body.append(*call.message, &call);
  std::vector<http::KeptBytes> pieces;
  body.take(5000, pieces);
  ASSERT_EQ(pieces.size(), 1U);
  EXPECT_EQ(pieces[0].bytes.data(), call.message->data());
  EXPECT_EQ(pieces[0].owner, call.message);
}

TEST(BodyPieces, AreReadAndChangedAsOneText) {
  BodyPieces body;
  for (const std::string_view piece : {"{\"model\":", "\"old\"", ",\"x\":1} \n"}) {
    body.append(piece, nullptr);
  }
  EXPECT_EQ(body.last_visible(), '}');
  body.replace(9, 14, "\"a longer one\"");
  EXPECT_EQ(body.joined(), "{\"model\":\"a longer one\",\"x\":1} \n");
  EXPECT_EQ(body.size(), body.joined().size());
  EXPECT_EQ(BodyPieces().last_visible(), 0);
}

}  // namespace
}  // namespace llmd::extproc
