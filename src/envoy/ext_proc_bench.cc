// What a message costs: our reader and writer, and protobuf's generated classes beside them.
#include <benchmark/benchmark.h>

#include <proto/ext_proc.pb.h>
#include "envoy/ext_proc.h"

namespace llmd::envoy {
namespace {

namespace pb = ::envoy::service::ext_proc::v3;

std::string head_message() {
  pb::ProcessingRequest message;
  for (const char* name : {":method", ":path", ":scheme", ":authority", "content-type", "x-request-id",
                           "x-forwarded-proto", "user-agent", "accept", "x-envoy-expected-rq-timeout-ms"}) {
    auto* header = message.mutable_request_headers()->mutable_headers()->add_headers();
    header->set_key(name);
    header->set_raw_value("11111111-2222-3333-4444-555555555555");
  }
  return message.SerializeAsString();
}

std::string body_message(std::size_t size) {
  pb::ProcessingRequest message;
  message.mutable_response_body()->set_body(std::string(size, 'x'));
  return message.SerializeAsString();
}

void read_ours(benchmark::State& state, const std::string& bytes) {
  ProcessingRequest message;
  for (auto _ : state) {
    benchmark::DoNotOptimize(parse_request(bytes, message));
  }
}

void read_protobuf(benchmark::State& state, const std::string& bytes) {
  pb::ProcessingRequest message;
  for (auto _ : state) {
    benchmark::DoNotOptimize(message.ParseFromString(bytes));
  }
}

void echo_ours(benchmark::State& state) {
  const std::string bytes = body_message(static_cast<std::size_t>(state.range(0)));
  ProcessingRequest message;
  std::string out;
  for (auto _ : state) {
    benchmark::DoNotOptimize(parse_request(bytes, message));
    const StreamedBody frame(Part::ResponseBody, message.body.size(), message.end_of_stream);
    out.clear();
    out += frame.head();
    out += message.body;
    out += frame.tail();
    benchmark::DoNotOptimize(out.data());
  }
}

void echo_protobuf(benchmark::State& state) {
  const std::string bytes = body_message(static_cast<std::size_t>(state.range(0)));
  pb::ProcessingRequest message;
  std::string out;
  for (auto _ : state) {
    benchmark::DoNotOptimize(message.ParseFromString(bytes));
    pb::ProcessingResponse answer;
    auto* streamed = answer.mutable_response_body()
                         ->mutable_response()
                         ->mutable_body_mutation()
                         ->mutable_streamed_response();
    streamed->set_body(message.response_body().body());
    streamed->set_end_of_stream(message.response_body().end_of_stream());
    out.clear();
    answer.AppendToString(&out);
    benchmark::DoNotOptimize(out.data());
  }
}

BENCHMARK_CAPTURE(read_ours, head, head_message());
BENCHMARK_CAPTURE(read_protobuf, head, head_message());
BENCHMARK(echo_ours)->Arg(200)->Arg(16'000);
BENCHMARK(echo_protobuf)->Arg(200)->Arg(16'000);

}  // namespace
}  // namespace llmd::envoy
