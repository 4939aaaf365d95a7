// Fields behind a body: out of chunks, through server and client of both protocols.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "async/scope.h"
#include "http/body_source.h"
#include "http/client.h"
#include "http/http2_pool.h"
#include "http/server.h"

namespace llmd::http {
namespace {

using testing::ElementsAre;
using testing::Pair;

using Fields = std::vector<std::pair<std::string, std::string>>;

Fields fields_of(const Headers* headers) {
  return headers == nullptr ? Fields() : Fields(headers->begin(), headers->end());
}

// What a chunked body's end says, however the bytes are cut.
Fields trailers_in(std::string_view text, std::size_t piece) {
  ReadBuffer buffer;
  BodySource source(buffer);
  Framing framing;
  framing.kind = Framing::Kind::Chunked;
  source.start(framing);
  for (std::size_t at = 0; at < text.size(); at += piece) {
    const auto part = text.substr(at, piece);
    const auto room = buffer.room(part.size());
    std::ranges::copy(part, room.begin());
    buffer.added(part.size());
    EXPECT_TRUE(source.take());
  }
  EXPECT_TRUE(source.done());
  return fields_of(source.trailers());
}

TEST(Trailers, AreReadHoweverTheyArrive) {
  constexpr std::string_view kText = "3\r\nabc\r\n0\r\nX-Sum: 7\r\nEmpty:\r\nx-more:  two words \r\n\r\n";
  for (const std::size_t piece : {std::size_t{1}, std::size_t{3}, kText.size()}) {
    EXPECT_THAT(trailers_in(kText, piece),
                ElementsAre(Pair("X-Sum", "7"), Pair("Empty", ""), Pair("x-more", "two words")));
  }
}

TEST(Trailers, ThatAreNoFieldsAreLeftOut) {
  EXPECT_THAT(trailers_in("0\r\n folded: x\r\nno colon\r\n: nameless\r\na b: c\r\nGood: 1\r\n\r\n", 100),
              ElementsAre(Pair("Good", "1")));
  EXPECT_EQ(trailers_in("0\r\n\r\n", 100).size(), 0u);
}

// Answers with the request's trailers as its own.
Task<void> give_back(Exchange& exchange) {
  const auto body = co_await read_all(exchange.body(), 1 << 20);
  co_await exchange.start({200, {{"X-Body", *body}}});
  if (const Headers* trailers = exchange.body().trailers()) {
    exchange.set_trailers(*trailers);
  }
  co_await exchange.finish("done");
}

class TrailersOf : public testing::Test {
 protected:
  TrailersOf() {
    address_ = server_.listen({"127.0.0.1", 0}).value();
    scope_.spawn("server", server_.run());
  }
  ~TrailersOf() override { loop_.block_on(scope_.close()); }

  // Those of the answer to a request with this body and x-sum behind it.
  Fields ask(Client& client, std::string_view content, bool te) {
    const auto task = [&]() -> Task<Fields> {
      const Headers behind{{"x-sum", "7"}};
      ClientRequest request;
      request.address = address_;
      request.head = {"POST", "/", {}};
      if (te) {
        request.head.headers.add("TE", "trailers");
      }
      request.content = content;
      request.trailers = &behind;
      const auto response = co_await client.send(std::move(request));
      EXPECT_TRUE(response) << response.error().text();
      const auto body = co_await read_all((*response)->body(), 1000);
      EXPECT_EQ(body.value_or(""), "done");
      EXPECT_EQ((*response)->head().headers.find("X-Body"), content);
      co_return fields_of((*response)->body().trailers());
    };
    return loop_.block_on(task());
  }

  async::EventLoop loop_;
  async::Scope scope_{loop_};
  Server server_{loop_, {}, give_back};
  net::Address address_;
};

TEST_F(TrailersOf, Http1PassBothWaysForClientsThatReadThem) {
  ClientPool pool(loop_);
  EXPECT_THAT(ask(pool, "abc", true), ElementsAre(Pair("x-sum", "7")));
  EXPECT_THAT(ask(pool, "", true), ElementsAre(Pair("x-sum", "7")));
  EXPECT_EQ(ask(pool, "abc", false).size(), 0u);
  EXPECT_THAT(ask(pool, "abc", true), ElementsAre(Pair("x-sum", "7"))) << "the connection goes on";
}

TEST_F(TrailersOf, Http2PassBothWays) {
  Http2Pool pool(loop_.executor());
  pool.open(scope_);
  EXPECT_THAT(ask(pool, "abc", false), ElementsAre(Pair("x-sum", "7")));
  EXPECT_THAT(ask(pool, "", false), ElementsAre(Pair("x-sum", "7")));
  pool.close();
}

TEST_F(TrailersOf, APoolOfHttp2DialsAgainWhenItsConnectionIsGone) {
  Http2Pool pool(loop_.executor());
  pool.open(scope_);
  const auto first = loop_.block_on(pool.get(address_, async::Deadline::after(std::chrono::seconds(20))));
  ASSERT_TRUE(first);
  EXPECT_EQ(loop_.block_on(pool.get(address_, async::Deadline::after(std::chrono::seconds(20)))).value(),
            *first);
  pool.close();
  EXPECT_FALSE(loop_.block_on(pool.get(address_, async::Deadline::after(std::chrono::seconds(20)))));
  pool.open(scope_);
  EXPECT_THAT(ask(pool, "abc", false), ElementsAre(Pair("x-sum", "7")));
  pool.close();
}

}  // namespace
}  // namespace llmd::http
