// Requests and answers that are gRPC messages, for pools whose engines speak gRPC.
//
//   vllm.grpc.engine.VllmEngine   Generate, Embed: one prompt, as text or as tokens, and no model
//   ...PredictionService          ChatCompletions, RawPredict, StreamRawPredict of Vertex AI: a request as
//                                 OpenAI's API has it in a google.api.HttpBody
//
// Only the first message of a call is looked at, and only what routing needs; a compressed one is not read.
// What it says is written as a body that openai::RequestScan reads, so that the same prompt counts the same
// however it came. Private to extproc; pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/grpc_frame.h"
#include "picker/request.h"

namespace llmd::extproc {

// {"prompt":…} or {"token_ids":[…]}, with "stream" and "max_tokens". `body`: the call's, with its frames.
// Empty: it is compressed. InvalidArgument: it is no such message.
Result<std::string> read_engine_request(std::string_view body);

// The request inside, a view of `body`. Empty and InvalidArgument as above.
Result<std::string_view> read_http_body(std::string_view body);

// Counts of the answers to VllmEngine/Generate, which come with each piece and at the end. Answers whose one
// message is longer than 1 MiB are not counted.
class EngineAnswers {
 public:
  void feed(std::string_view bytes);
  const picker::Usage& usage() const { return usage_; }

 private:
  void read(std::string_view message);

  http::GrpcDeframer frames_{std::size_t{1} << 20};
  bool broken_ = false;
  picker::Usage usage_;
};

}  // namespace llmd::extproc
