// The codec against protobuf's generated classes.
#include "envoy/ext_proc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <proto/ext_proc.pb.h>
#include "envoy/wire.h"

namespace llmd::envoy {
namespace {

namespace pb = ::envoy::service::ext_proc::v3;
using testing::ElementsAre;
using testing::Pair;

pb::ProcessingResponse read(const std::string& bytes) {
  pb::ProcessingResponse message;
  EXPECT_TRUE(message.ParseFromString(bytes));
  return message;
}

ProcessingRequest parse(const std::string& bytes) {
  ProcessingRequest out;
  EXPECT_TRUE(parse_request(bytes, out));
  return out;
}

TEST(ProcessingRequest, HeadersPreferTheRawValue) {
  pb::ProcessingRequest message;
  auto* headers = message.mutable_request_headers()->mutable_headers();
  auto* first = headers->add_headers();
  first->set_key(":path");
  first->set_raw_value("/v1/completions");
  auto* second = headers->add_headers();
  second->set_key("x-old");
  second->set_value("text");
  message.mutable_request_headers()->set_end_of_stream(true);
  message.mutable_protocol_config()->set_request_body_mode(4);
  message.mutable_protocol_config()->set_send_body_without_waiting_for_header_response(true);
  const std::string bytes = message.SerializeAsString();
  const auto parsed = parse(bytes);
  EXPECT_EQ(parsed.part, Part::RequestHeaders);
  EXPECT_THAT(parsed.headers, ElementsAre(Pair(":path", "/v1/completions"), Pair("x-old", "text")));
  EXPECT_TRUE(parsed.end_of_stream);
  EXPECT_EQ(parsed.protocol_config, (ProtocolConfig{BodyMode::FullDuplexStreamed, BodyMode::None, true}));
}

TEST(ProcessingRequest, BodiesAndTrailersOfBothDirections) {
  pb::ProcessingRequest message;
  message.mutable_request_body()->set_body("abc");
  std::string bytes = message.SerializeAsString();
  auto parsed = parse(bytes);
  EXPECT_EQ(parsed.part, Part::RequestBody);
  EXPECT_EQ(parsed.body, "abc");
  EXPECT_FALSE(parsed.end_of_stream);
  message.mutable_response_body()->set_end_of_stream(true);
  bytes = message.SerializeAsString();
  parsed = parse(bytes);
  EXPECT_EQ(parsed.part, Part::ResponseBody);
  EXPECT_EQ(parsed.body, "");
  EXPECT_TRUE(parsed.end_of_stream);
  auto* trailer = message.mutable_response_trailers()->mutable_trailers()->add_headers();
  trailer->set_key("x-t");
  trailer->set_raw_value("1");
  message.set_observability_mode(true);
  bytes = message.SerializeAsString();
  parsed = parse(bytes);
  EXPECT_EQ(parsed.part, Part::ResponseTrailers);
  EXPECT_THAT(parsed.headers, ElementsAre(Pair("x-t", "1")));
  EXPECT_TRUE(parsed.observability_mode);
}

TEST(ProcessingRequest, RefusesWhatIsNone) {
  ProcessingRequest out;
  EXPECT_FALSE(parse_request("\xff\xff\xff", out));
  EXPECT_FALSE(parse_request(std::string("\x12\x05"
                                         "ab",
                                         4),
                             out))
      << "shorter than it says";
  EXPECT_TRUE(parse_request("", out)) << "an empty message is a message about nothing";
  EXPECT_EQ(out.part, Part::Nothing);
}

TEST(Metadata, ListsAndTextsAreFound) {
  pb::Metadata metadata;
  auto& filter = (*metadata.mutable_filter_metadata())["envoy.lb.subset_hint"];
  auto* list = (*filter.mutable_fields())["subset"].mutable_list_value();
  list->add_values()->set_string_value("10.0.0.1:80");
  list->add_values()->set_number_value(7);
  list->add_values()->set_string_value("10.0.0.2:80");
  (*filter.mutable_fields())["one"].set_string_value("a,b");
  (*filter.mutable_fields())["number"].set_number_value(1);
  (*filter.mutable_fields())["none"].mutable_list_value();
  const std::string bytes = metadata.SerializeAsString();
  EXPECT_THAT(*metadata_texts(bytes, "envoy.lb.subset_hint", "subset"),
              ElementsAre("10.0.0.1:80", "10.0.0.2:80"));
  EXPECT_THAT(*metadata_texts(bytes, "envoy.lb.subset_hint", "one"), ElementsAre("a,b"));
  EXPECT_THAT(*metadata_texts(bytes, "envoy.lb.subset_hint", "none"), ElementsAre());
  EXPECT_FALSE(metadata_texts(bytes, "envoy.lb.subset_hint", "number"));
  EXPECT_FALSE(metadata_texts(bytes, "envoy.lb.subset_hint", "absent"));
  EXPECT_FALSE(metadata_texts(bytes, "other", "subset"));
}

TEST(ProcessingResponse, AnAnswerToHeadersCarriesEverything) {
  const std::vector<HeaderFieldView> set{{"x-gateway-destination-endpoint", "10.0.0.1:8000"},
                                         {"content-length", "5"}};
  const std::vector<std::string_view> remove{"x-prefiller-host-port"};
  const std::vector<MetadataText> metadata{{"envoy.lb", "x-gateway-destination-endpoint", "10.0.0.1:8000"}};
  const std::vector<std::pair<std::string, double>> scores{{"10.0.0.1:8000", 0.5}, {"10.0.0.2:8000", 0.25}};
  std::string bytes;
  append_answer(bytes, Part::RequestHeaders,
                {.headers = {.set = set, .remove = remove},
                 .clear_route_cache = true,
                 .metadata = metadata,
                 .metadata_numbers = MetadataNumbers{"envoy.lb", "scores", scores},
                 .response_body_override = BodyMode::None});
  const auto message = read(bytes);
  const auto& common = message.request_headers().response();
  EXPECT_TRUE(common.clear_route_cache());
  ASSERT_EQ(common.header_mutation().set_headers_size(), 2);
  EXPECT_EQ(common.header_mutation().set_headers(0).header().key(), "x-gateway-destination-endpoint");
  EXPECT_EQ(common.header_mutation().set_headers(0).header().raw_value(), "10.0.0.1:8000");
  EXPECT_EQ(common.header_mutation().remove_headers(0), "x-prefiller-host-port");
  const auto& balancer = message.dynamic_metadata().fields().at("envoy.lb").struct_value().fields();
  EXPECT_EQ(balancer.at("x-gateway-destination-endpoint").string_value(), "10.0.0.1:8000");
  EXPECT_EQ(balancer.at("scores").struct_value().fields().at("10.0.0.2:8000").number_value(), 0.25);
  EXPECT_EQ(message.mode_override().response_body_mode(), 0U);
  EXPECT_EQ(message.mode_override().response_trailer_mode(), 1U);
}

TEST(ProcessingResponse, PiecesOfABodyOfEverySize) {
  for (const std::size_t size : {0, 1, 100, 127, 128, 16'000, 16'383, 62'000, 2'100'000}) {
    for (const bool end : {false, true}) {
      const std::string body(size, 'x');
      const StreamedBody frame(Part::ResponseBody, size, end);
      const auto message = read(std::string(frame.head()) + body + std::string(frame.tail()));
      const auto& streamed = message.response_body().response().body_mutation().streamed_response();
      EXPECT_EQ(streamed.body(), body) << size;
      EXPECT_EQ(streamed.end_of_stream(), end) << size;
    }
  }
}

TEST(ProcessingResponse, BodiesTrailersAndImmediateAnswers) {
  std::string bytes;
  append_body_unchanged(bytes, Part::RequestBody);
  EXPECT_TRUE(read(bytes).has_request_body());
  bytes.clear();
  append_body_replaced(bytes, Part::RequestBody, {.clear_route_cache = true}, "new");
  EXPECT_EQ(read(bytes).request_body().response().body_mutation().body(), "new");
  bytes.clear();
  append_trailers_answer(bytes, Part::ResponseTrailers);
  EXPECT_TRUE(read(bytes).has_response_trailers());
  bytes.clear();
  const std::vector<HeaderFieldView> headers{{"retry-after", "1"}};
  append_immediate(bytes, {.status = 429, .body = "no room", .headers = headers});
  const auto message = read(bytes);
  EXPECT_EQ(message.immediate_response().status().code(), 429U);
  EXPECT_EQ(message.immediate_response().body(), "no room");
  EXPECT_EQ(message.immediate_response().headers().set_headers(0).header().raw_value(), "1");
}

}  // namespace
}  // namespace llmd::envoy
