// An exchange, and the proxy that talks to it with protobuf's own classes. For tests.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <proto/ext_proc.pb.h>
#include "extproc/exchange.h"
#include "extproc/fake_call.h"

namespace llmd::extproc {

namespace pb = ::envoy::service::ext_proc::v3;
using envoy::BodyMode;

inline constexpr std::string_view kBody = R"({"model":"m","prompt":"Hello","max_tokens":8})";

inline picker::Endpoint endpoint(std::string host) {
  return {.address = {host, 8000}, .name = host};
}

class ExchangeTest : public testing::Test {
 public:
  void SetUp() override {
    picker().update({endpoint("10.0.0.1"), endpoint("10.0.0.2"), endpoint("fd00::3")});
    begin();
  }
  void TearDown() override {
    end();
    EXPECT_EQ(picker().endpoints()->running(), 0) << "a lease was left";
    EXPECT_EQ(shared().held, 0U) << "bytes are still held";
  }
  // Serves by this configuration from now on, with one endpoint for each host.
  void serve(std::string_view config, std::initializer_list<std::string> hosts,
             picker::PickerOptions options = {}) {
    end();
    options.load.allow_experimental = true;
    auto made = picker::Picker::from_config(config, "test.yaml", options);
    ASSERT_TRUE(made) << made.error().text();
    picker_ = std::move(*made);
    std::vector<picker::Endpoint> endpoints;
    for (const std::string& host : hosts) {
      endpoints.push_back(endpoint(host));
    }
    picker().update(std::move(endpoints));
    shared_ = std::make_unique<Service::Shared>(picker(), metrics_, options_);
    begin();
  }
  void begin() {
    end();
    call_ = std::make_unique<FakeCall>(loop_);
    exchange_ = std::make_shared<Exchange>(*shared_, *call_);
  }
  void end() {
    if (exchange_) {
      exchange_->closed();
      exchange_.reset();
      call_.reset();
    }
  }

  // What the proxy gets back for one message.
  std::vector<pb::ProcessingResponse> say(const pb::ProcessingRequest& message) {
    const std::size_t before = call_->sent.size();
    exchange_->message(message.SerializeAsString());
    exchange_->sending();
    return answers(before);
  }
  std::vector<pb::ProcessingResponse> answers(std::size_t from) const {
    std::vector<pb::ProcessingResponse> out;
    for (std::size_t i = from; i < call_->sent.size(); ++i) {
      EXPECT_TRUE(out.emplace_back().ParseFromString(call_->sent[i]));
    }
    return out;
  }
  // What came back of the request's body is all of it, in pieces that a proxy takes.
  void expect_whole_body(std::string_view whole) const {
    std::string back;
    bool last = false;
    for (const auto& each : answers(0)) {
      if (each.has_request_body()) {
        const auto& streamed = each.request_body().response().body_mutation().streamed_response();
        EXPECT_LE(streamed.body().size(), 62'000U);
        back += streamed.body();
        last = streamed.end_of_stream();
      }
    }
    EXPECT_EQ(back, whole);
    EXPECT_TRUE(last);
  }
  using Fields = std::vector<std::pair<std::string, std::string>>;
  static pb::ProcessingRequest headers(bool end, std::optional<BodyMode> request = {},
                                       BodyMode response = BodyMode::None, bool without_waiting = false,
                                       const Fields& more = {}) {
    pb::ProcessingRequest message;
    auto* part = message.mutable_request_headers();
    part->set_end_of_stream(end);
    Fields fields{{":method", "POST"}, {":path", "/v1/completions"}, {"x-request-id", "r"}};
    for (const auto& field : more) {
      std::erase_if(fields, [&](const auto& usual) { return usual.first == field.first; });
      fields.push_back(field);
    }
    for (const auto& [name, value] : fields) {
      auto* header = part->mutable_headers()->add_headers();
      header->set_key(name);
      header->set_raw_value(value);
    }
    if (request) {
      message.mutable_protocol_config()->set_request_body_mode(static_cast<std::uint32_t>(*request));
      message.mutable_protocol_config()->set_response_body_mode(static_cast<std::uint32_t>(response));
      message.mutable_protocol_config()->set_send_body_without_waiting_for_header_response(without_waiting);
    }
    return message;
  }
  static pb::ProcessingRequest body(std::string_view bytes, bool end) {
    pb::ProcessingRequest message;
    message.mutable_request_body()->set_body(std::string(bytes));
    message.mutable_request_body()->set_end_of_stream(end);
    return message;
  }
  static pb::ProcessingRequest trailers() {
    pb::ProcessingRequest message;
    message.mutable_request_trailers();
    return message;
  }
  static pb::ProcessingRequest response_headers(bool end, std::string status = "200") {
    pb::ProcessingRequest message;
    auto* header = message.mutable_response_headers()->mutable_headers()->add_headers();
    header->set_key(":status");
    header->set_raw_value(std::move(status));
    message.mutable_response_headers()->set_end_of_stream(end);
    return message;
  }
  static pb::ProcessingRequest response_body(std::string_view bytes, bool end) {
    pb::ProcessingRequest message;
    message.mutable_response_body()->set_body(std::string(bytes));
    message.mutable_response_body()->set_end_of_stream(end);
    return message;
  }
  static std::string header_of(const pb::HeaderMutation& mutation, std::string_view name) {
    for (const auto& each : mutation.set_headers()) {
      if (each.header().key() == name) {
        return each.header().raw_value();
      }
    }
    return "";
  }
  static bool chosen(const pb::CommonResponse& common) {
    return common.clear_route_cache() &&
           !header_of(common.header_mutation(), "x-gateway-destination-endpoint").empty();
  }
  int running() const { return picker().endpoints()->running(); }

  picker::Picker& picker() { return *picker_; }
  const picker::Picker& picker() const { return *picker_; }
  Service::Shared& shared() { return *shared_; }

  async::EventLoop loop_;
  metrics::Registry registry_;
  std::unique_ptr<picker::Picker> picker_ = std::make_unique<picker::Picker>();
  ServiceMetrics metrics_{registry_};
  ServiceOptions options_;
  std::unique_ptr<Service::Shared> shared_ = std::make_unique<Service::Shared>(*picker_, metrics_, options_);
  std::unique_ptr<FakeCall> call_;
  std::shared_ptr<Exchange> exchange_;
};

}  // namespace llmd::extproc
