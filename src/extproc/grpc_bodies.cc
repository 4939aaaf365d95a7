#include "extproc/grpc_bodies.h"

#include <algorithm>

#include "envoy/wire.h"
#include "json/value.h"

namespace llmd::extproc {
namespace {

using envoy::WireReader;
using envoy::WireType;

// Field numbers of vllm.grpc.engine.
namespace generate_request {
constexpr std::uint32_t kTokenized = 2;  // of an EmbedRequest as well
constexpr std::uint32_t kText = 3;
constexpr std::uint32_t kSamplingParams = 4;
constexpr std::uint32_t kStream = 5;
}  // namespace generate_request
constexpr std::uint32_t kInputIds = 2;   // of a TokenizedInput
constexpr std::uint32_t kMaxTokens = 8;  // of SamplingParams
constexpr std::uint32_t kChunk = 1;      // of a GenerateResponse
constexpr std::uint32_t kComplete = 2;
// Of a GenerateStreamChunk; a GenerateComplete has them one further.
constexpr std::uint32_t kPromptTokens = 2;
constexpr std::uint32_t kCompletionTokens = 3;
constexpr std::uint32_t kCachedTokens = 4;

// Of the requests of a PredictionService, and of the HttpBody in it.
constexpr std::uint32_t kHttpBody = 2;
constexpr std::uint32_t kData = 2;

constexpr char kCompressed = 1;

Error malformed() {
  return invalid_argument("the gRPC message is malformed");
}

// The first message; empty: it is compressed.
Result<std::string_view> first_message(std::string_view body) {
  if (body.size() < http::kGrpcHeadBytes) {
    return std::unexpected(malformed());
  }
  if (body.front() == kCompressed) {
    return std::string_view();
  }
  http::GrpcDeframer frames(SIZE_MAX);
  frames.feed(body);
  LLMD_TRY(const auto message, frames.next());
  if (!message) {
    return std::unexpected(malformed());
  }
  return *message;
}

// The last field with this number, as protobuf has it; empty: there is none.
Result<std::string_view> bytes_of(std::string_view message, std::uint32_t field) {
  std::string_view found;
  WireReader in(message);
  while (in.next()) {
    if (in.field() == field && in.type() == WireType::Bytes) {
      found = in.bytes();
    }
  }
  return in.malformed() ? Result<std::string_view>(std::unexpected(malformed())) : found;
}

bool append_token(std::string& list, std::uint64_t token) {
  if (token > UINT32_MAX) {
    return false;
  }
  list += list.empty() ? "" : ",";
  list += std::to_string(token);
  return true;
}

// Numbers one behind the other, without heads.
bool append_packed(std::string& list, std::string_view packed) {
  std::uint64_t token = 0;
  int shift = 0;
  for (const char c : packed) {
    const auto byte = static_cast<unsigned char>(c);
    token |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
    shift += 7;
    if ((byte & 0x80U) != 0) {
      if (shift > 28) {
        return false;
      }
      continue;
    }
    if (!append_token(list, token)) {
      return false;
    }
    token = 0;
    shift = 0;
  }
  return shift == 0;
}

Result<std::string> read_tokenized(std::string_view message) {
  std::string list;
  WireReader in(message);
  bool good = true;
  while (good && in.next()) {
    if (in.field() == kInputIds) {
      good = in.type() == WireType::Bytes    ? append_packed(list, in.bytes())
             : in.type() == WireType::Varint ? append_token(list, in.number())
                                             : false;
    }
  }
  if (!good || in.malformed()) {
    return std::unexpected(malformed());
  }
  return list;
}

std::optional<std::uint64_t> max_tokens_of(std::string_view sampling) {
  std::optional<std::uint64_t> found;
  WireReader in(sampling);
  while (in.next()) {
    if (in.field() == kMaxTokens && in.type() == WireType::Varint && in.number() <= INT32_MAX) {
      found = in.number();
    }
  }
  return found;
}

}  // namespace

Result<std::string> read_engine_request(std::string_view body) {
  LLMD_TRY(const std::string_view message, first_message(body));
  if (body.front() == kCompressed) {
    return std::string();
  }
  std::string prompt;
  bool streams = false;
  std::optional<std::uint64_t> max_tokens;
  WireReader in(message);
  while (in.next()) {
    if (in.field() == generate_request::kTokenized && in.type() == WireType::Bytes) {
      LLMD_TRY(const std::string tokens, read_tokenized(in.bytes()));
      prompt = "\"token_ids\":[" + tokens + "]";
    } else if (in.field() == generate_request::kText && in.type() == WireType::Bytes) {
      prompt = "\"prompt\":";
      json::write_quoted_to(prompt, in.bytes());
    } else if (in.field() == generate_request::kSamplingParams) {
      max_tokens = max_tokens_of(in.bytes());
    } else if (in.field() == generate_request::kStream && in.type() == WireType::Varint) {
      streams = in.flag();
    }
  }
  if (in.malformed()) {
    return std::unexpected(malformed());
  }
  std::string read = streams ? R"({"stream":true)" : R"({"stream":false)";
  read += max_tokens ? fmt::format(",\"max_tokens\":{}", *max_tokens) : std::string();
  read += prompt.empty() ? prompt : "," + prompt;
  return read + "}";
}

Result<std::string_view> read_http_body(std::string_view body) {
  LLMD_TRY(const std::string_view message, first_message(body));
  LLMD_TRY(const std::string_view http_body, bytes_of(message, kHttpBody));
  return bytes_of(http_body, kData);
}

void EngineAnswers::feed(std::string_view bytes) {
  frames_.feed(bytes);
  while (!broken_) {
    const auto message = frames_.next();
    broken_ = !message;
    if (broken_ || !*message) {
      return;
    }
    read(**message);
  }
}

// The counts of the last message are those of the whole answer.
void EngineAnswers::read(std::string_view message) {
  WireReader in(message);
  while (in.next()) {
    if ((in.field() != kChunk && in.field() != kComplete) || in.type() != WireType::Bytes) {
      continue;
    }
    const std::uint32_t further = in.field() == kComplete ? 1 : 0;
    WireReader counts(in.bytes());
    while (counts.next()) {
      if (counts.type() != WireType::Varint || counts.number() > INT32_MAX) {
        continue;
      }
      const auto number = static_cast<std::int64_t>(counts.number());
      if (counts.field() == kPromptTokens + further) {
        usage_.prompt_tokens = number;
      } else if (counts.field() == kCompletionTokens + further) {
        usage_.completion_tokens = std::max(usage_.completion_tokens.value_or(0), number);
      } else if (counts.field() == kCachedTokens + further) {
        usage_.cached_tokens = number;
      }
    }
  }
}

}  // namespace llmd::extproc
