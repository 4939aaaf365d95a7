// The proxy's side of the codec against protobuf's generated classes.
#include "envoy/ext_proc_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <proto/ext_proc.pb.h>

namespace llmd::envoy {
namespace {

namespace pb = ::envoy::service::ext_proc::v3;
using Action = HeaderChange::Action;

pb::ProcessingRequest read(const std::string& bytes) {
  pb::ProcessingRequest message;
  EXPECT_TRUE(message.ParseFromString(bytes));
  return message;
}

ProcessingResponse parse(const std::string& bytes) {
  ProcessingResponse out;
  EXPECT_TRUE(parse_response(bytes, out));
  return out;
}

TEST(ClientMessage, TheFirstSaysHeadersAndModes) {
  std::string bytes;
  const HeaderFieldView headers[] = {{":path", "/v1/completions"}, {"x-empty", ""}};
  append_headers(
      bytes, Part::RequestHeaders, headers, false,
      {.protocol_config = ProtocolConfig{BodyMode::FullDuplexStreamed, BodyMode::FullDuplexStreamed, true}});
  const auto message = read(bytes);
  ASSERT_TRUE(message.has_request_headers());
  EXPECT_FALSE(message.request_headers().end_of_stream());
  ASSERT_EQ(message.request_headers().headers().headers_size(), 2);
  EXPECT_EQ(message.request_headers().headers().headers(0).key(), ":path");
  EXPECT_EQ(message.request_headers().headers().headers(0).raw_value(), "/v1/completions");
  EXPECT_EQ(message.protocol_config().request_body_mode(), 4u);
  EXPECT_EQ(message.protocol_config().response_body_mode(), 4u);
  EXPECT_TRUE(message.protocol_config().send_body_without_waiting_for_header_response());
}

TEST(ClientMessage, TheAnswersHeadersSayWhoServed) {
  std::string bytes;
  const HeaderFieldView headers[] = {{":status", "200"}};
  const MetadataText served[] = {{"envoy.lb", "x-gateway-destination-endpoint-served", "10.0.0.1:8000"}};
  append_headers(bytes, Part::ResponseHeaders, headers, true, {.metadata = served});
  const auto message = read(bytes);
  EXPECT_TRUE(message.response_headers().end_of_stream());
  const auto& fields = message.metadata_context().filter_metadata().at("envoy.lb").fields();
  EXPECT_EQ(fields.at("x-gateway-destination-endpoint-served").string_value(), "10.0.0.1:8000");
}

TEST(ClientMessage, BodiesAndTrailers) {
  std::string bytes;
  append_body(bytes, Part::RequestBody, "abc", false);
  EXPECT_EQ(read(bytes).request_body().body(), "abc");
  EXPECT_FALSE(read(bytes).request_body().end_of_stream());
  bytes.clear();
  append_body(bytes, Part::ResponseBody, "", true);
  EXPECT_TRUE(read(bytes).has_response_body());
  EXPECT_TRUE(read(bytes).response_body().end_of_stream());
  bytes.clear();
  const HeaderFieldView trailers[] = {{"grpc-status", "0"}};
  append_trailers(bytes, Part::ResponseTrailers, trailers);
  EXPECT_EQ(read(bytes).response_trailers().trailers().headers(0).raw_value(), "0");
}

TEST(ClientMessage, ReadsHeaderChangesOfEveryKind) {
  pb::ProcessingResponse message;
  auto* mutation = message.mutable_request_headers()->mutable_response()->mutable_header_mutation();
  const auto add = [&](const char* name, unsigned action) {
    auto* option = mutation->add_set_headers();
    option->mutable_header()->set_key(name);
    option->mutable_header()->set_raw_value("v");
    option->set_append_action(action);
    return option;
  };
  add("overwrite", 0);
  add("append", 0)->mutable_append()->set_value(true);
  add("absent", 1);
  add("always", 2);
  add("exists", 3);
  auto* old = mutation->add_set_headers();
  old->mutable_header()->set_key("old");
  old->mutable_header()->set_value("text");
  mutation->add_remove_headers("gone");
  const std::string bytes = message.SerializeAsString();
  const auto parsed = parse(bytes);
  EXPECT_EQ(parsed.part, Part::RequestHeaders);
  ASSERT_EQ(parsed.set.size(), 6u);
  const Action expected[] = {Action::Overwrite,         Action::Append,
                             Action::AddIfAbsent,       Action::Overwrite,
                             Action::OverwriteIfExists, Action::Overwrite};
  for (std::size_t i = 0; i < parsed.set.size(); ++i) {
    EXPECT_EQ(parsed.set[i].action, expected[i]) << parsed.set[i].name;
  }
  EXPECT_EQ(parsed.set.back().value, "text");
  EXPECT_THAT(parsed.remove, testing::ElementsAre("gone"));
}

TEST(ClientMessage, ReadsStreamedPiecesAndNoticesOthers) {
  pb::ProcessingResponse message;
  auto* streamed = message.mutable_request_body()
                       ->mutable_response()
                       ->mutable_body_mutation()
                       ->mutable_streamed_response();
  streamed->set_body("piece");
  streamed->set_end_of_stream(true);
  std::string bytes = message.SerializeAsString();
  auto parsed = parse(bytes);
  EXPECT_EQ(parsed.part, Part::RequestBody);
  EXPECT_TRUE(parsed.has_body);
  EXPECT_EQ(parsed.body, "piece");
  EXPECT_TRUE(parsed.end_of_stream);
  EXPECT_FALSE(parsed.other_body);
  message.mutable_response_body()->mutable_response()->mutable_body_mutation()->set_body("whole");
  bytes = message.SerializeAsString();
  parsed = parse(bytes);
  EXPECT_EQ(parsed.part, Part::ResponseBody);
  EXPECT_TRUE(parsed.other_body);
}

TEST(ClientMessage, ReadsOurOwnPickersAnswers) {
  std::string bytes;
  const HeaderFieldView set[] = {{"x-gateway-destination-endpoint", "10.0.0.1:8000,10.0.0.2:8000"}};
  const MetadataText metadata[] = {
      {"envoy.lb", "x-gateway-destination-endpoint", "10.0.0.1:8000,10.0.0.2:8000"}};
  append_answer(bytes, Part::RequestHeaders,
                {.headers = {.set = set}, .metadata = metadata, .response_body_override = BodyMode::None});
  auto parsed = parse(bytes);
  EXPECT_EQ(struct_text(parsed.dynamic_metadata, "envoy.lb", "x-gateway-destination-endpoint"),
            "10.0.0.1:8000,10.0.0.2:8000");
  EXPECT_EQ(struct_text(parsed.dynamic_metadata, "envoy.lb", "other"), std::nullopt);
  EXPECT_EQ(parsed.response_body_override, BodyMode::None);
  EXPECT_EQ(parsed.response_trailers_override, true);
  EXPECT_FALSE(parsed.skip_response_headers);
  bytes.clear();
  append_immediate(bytes, {.status = 429, .body = "busy"});
  parsed = parse(bytes);
  EXPECT_EQ(parsed.immediate_status, 429);
  EXPECT_EQ(parsed.immediate_body, "busy");
}

TEST(ClientMessage, WhatIsNoMessageIsAnError) {
  ProcessingResponse out;
  EXPECT_FALSE(parse_response("\x0a\x7f", out));
  EXPECT_FALSE(parse_response("\xff", out));
}

}  // namespace
}  // namespace llmd::envoy
