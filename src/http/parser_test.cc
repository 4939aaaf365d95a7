// The parsers without sockets: which requests are refused, and that splits do not matter.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http/message_reader.h"
#include "http/sse.h"

namespace llmd::http {
namespace {

using testing::StartsWith;
using namespace std::string_view_literals;

struct BadRequest {
  std::string_view name;
  std::string_view bytes;
  int status;
};

void PrintTo(const BadRequest& request, std::ostream* out) {
  *out << request.name;
}

class MalformedRequest : public testing::TestWithParam<BadRequest> {};

TEST_P(MalformedRequest, IsRefused) {
  const std::string seen = transcript_of_requests(GetParam().bytes, 1000);
  EXPECT_THAT(seen, testing::HasSubstr("refused " + std::to_string(GetParam().status))) << seen;
}

INSTANTIATE_TEST_SUITE_P(
    Table, MalformedRequest,
    testing::Values(
        BadRequest{"both lengths",
                   "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
                   400},
        BadRequest{"both lengths, other order",
                   "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
                   400},
        BadRequest{"two lengths",
                   "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", 400},
        BadRequest{"list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 4\r\n\r\n", 400},
        BadRequest{"negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\n", 400},
        BadRequest{"length with sign", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n", 400},
        BadRequest{"hexadecimal length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\n", 400},
        BadRequest{"huge length",
                   "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
        BadRequest{"empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400},
        BadRequest{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
        BadRequest{"no host", "GET / HTTP/1.1\r\nA: b\r\n\r\n", 400},
        BadRequest{"continued field", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", 400},
        BadRequest{"bare line feed", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400},
        BadRequest{"bare carriage return", "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400},
        BadRequest{"space before colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
        BadRequest{"no colon", "GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", 400},
        BadRequest{"empty name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400},
        BadRequest{"zero byte in value", "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n"sv, 400},
        BadRequest{"unknown coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
                   400},
        BadRequest{"identity coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
                   400},
        BadRequest{"chunked twice",
                   "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", 400},
        BadRequest{
            "two coding fields",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            400},
        BadRequest{"vertical tab in coding",
                   "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \vchunked\r\n\r\n", 400},
        BadRequest{"chunked not last",
                   "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 400},
        BadRequest{"compressed", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                   501},
        BadRequest{"coding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        BadRequest{"other version", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
        BadRequest{"no version", "GET /\r\nHost: a\r\n\r\n", 400},
        BadRequest{"space in target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        BadRequest{"bad method", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        BadRequest{"relative target", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        BadRequest{"user in target", "GET http://u@h/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        BadRequest{"unknown expectation",
                   "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: magic\r\n\r\n", 417},
        BadRequest{"TLS on a plain port", "\x16\x03\x01\x02\n", 400},
        BadRequest{"chunk without size",
                   "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n;x\r\n", 400},
        BadRequest{"chunk with sign",
                   "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 400},
        BadRequest{"chunk size ends with LF",
                   "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\r\n", 400},
        BadRequest{"chunk longer than said",
                   "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n", 400},
        BadRequest{"huge chunk",
                   "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
                   400},
        BadRequest{"LF in trailer",
                   "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\nC: d\r\n\r\n",
                   400}));

TEST(RequestParser, TakesWhatIsUnusualButLegal) {
  EXPECT_THAT(transcript_of_requests("\r\nGET / HTTP/1.1\r\nhost:a\r\nX:\t b \r\n\r\n", 100),
              StartsWith("GET / truehost=a;X=b;body 0 0"));
  EXPECT_THAT(transcript_of_requests("GET http://h:1?q HTTP/1.1\r\nHost: other\r\n\r\n", 100),
              StartsWith("GET /?q trueHost=h:1;"));
  EXPECT_THAT(transcript_of_requests("OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", 100),
              StartsWith("OPTIONS * false"));
  EXPECT_THAT(transcript_of_requests("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 100),
              StartsWith("GET / true"));
  EXPECT_THAT(transcript_of_requests("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
                                     "5 ;a=b\r\nhello\r\n6;c\r\n world\r\n0\r\nTrailer: t\r\n\r\n",
                                     1000),
              testing::HasSubstr("hello world\nend of body\n"));
}

TEST(RequestParser, GivesTheSameForEverySplit) {
  const std::string_view bytes =
      "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
      "chunked\r\n\r\n5\r\nhello\r\n10;x\r\n0123456789abcdef\r\n0\r\n"
      "T: v\r\n\r\nPUT /b HTTP/1.1\r\nHost: b\r\nContent-Length: 4\r\n\r\nbodyGET /c HTTP/1.1\r\nHost: "
      "c\r\n\r\n";
  const std::string whole = transcript_of_requests(bytes, bytes.size());
  EXPECT_THAT(whole, testing::HasSubstr("GET /c"));
  for (std::size_t step = 1; step < bytes.size(); ++step) {
    ASSERT_EQ(transcript_of_requests(bytes, step), whole) << "in steps of " << step;
  }
}

TEST(ResponseParser, GivesTheSameForEverySplit) {
  const std::string_view bytes =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
      "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200\r\n\r\nuntil the end";
  const std::string whole = transcript_of_responses(bytes, bytes.size());
  EXPECT_THAT(whole, testing::EndsWith("until the endcomplete\n"));
  for (std::size_t step = 1; step < bytes.size(); ++step) {
    ASSERT_EQ(transcript_of_responses(bytes, step), whole) << "in steps of " << step;
  }
}

TEST(ResponseParser, RefusesWhatIsNoHttp) {
  for (const std::string_view bytes :
       {"SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 999 X\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"}) {
    EXPECT_THAT(transcript_of_responses(bytes, 1000), testing::HasSubstr("refused")) << bytes;
  }
}

std::vector<SseEvent> events_of(std::string_view bytes, std::size_t step) {
  SseParser parser;
  std::vector<SseEvent> events;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(step, bytes.size()))) {
    for (auto& event : parser.feed(bytes.substr(0, step)).value()) {
      events.push_back(std::move(event));
    }
  }
  return events;
}

TEST(ServerSentEvents, FollowTheSpecificationForEverySplit) {
  const std::string_view bytes =
      "\xEF\xBB\xBF: comment\n\ndata: one\ndata:two\nid: 7\nevent: greeting\n\n"
      "data\r\n\r\nid\rdata:  x\r\revent: lost\n\ndata: [DONE]\n\ndata: unfinished\n";
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    const auto events = events_of(bytes, step);
    ASSERT_EQ(events.size(), 4U) << "in steps of " << step;
    EXPECT_EQ(events[0].data, "one\ntwo");
    EXPECT_EQ(events[0].event, "greeting");
    EXPECT_EQ(events[0].id, "7");
    EXPECT_EQ(events[1].data, "");
    EXPECT_EQ(events[1].id, "7");
    EXPECT_EQ(events[2].data, " x");
    EXPECT_EQ(events[2].id, "");
    EXPECT_EQ(events[3].data, "[DONE]");
  }
}

TEST(ServerSentEvents, HaveALimit) {
  SseParser parser(10);
  EXPECT_TRUE(parser.feed("data: 1\n"));
  const auto refused = parser.feed("data: 0123456789");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::ResourceExhausted);
}

TEST(ServerSentEvents, AreWrittenAsTheyAreRead) {
  const auto events = events_of(sse_data("{\"a\":1}"), 3);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].data, "{\"a\":1}");
}

}  // namespace
}  // namespace llmd::http
