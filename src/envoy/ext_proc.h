// The messages of envoy.service.ext_proc.v3, both ways. Field numbers are those of Envoy's API
// (service/ext_proc/v3/external_processor.proto); what nobody here needs is skipped when read and not
// written. Views point into the message that was parsed. Pure; any thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace llmd::envoy {

inline constexpr std::string_view kProcessMethod = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";
inline constexpr std::string_view kProcessorService = "envoy.service.ext_proc.v3.ExternalProcessor";

enum class BodyMode {
  None = 0,
  Streamed = 1,
  Buffered = 2,
  BufferedPartial = 3,
  FullDuplexStreamed = 4,
  Grpc = 5
};

// What a message is about; the numbers are ProcessingRequest's fields.
enum class Part {
  Nothing = 0,
  RequestHeaders = 2,
  ResponseHeaders = 3,
  RequestBody = 4,
  ResponseBody = 5,
  RequestTrailers = 6,
  ResponseTrailers = 7,
};

using HeaderFieldView = std::pair<std::string_view, std::string_view>;

struct ProtocolConfig {
  BodyMode request_body = BodyMode::None;
  BodyMode response_body = BodyMode::None;
  bool body_without_waiting = false;  // for the answer to the headers
  bool operator==(const ProtocolConfig&) const = default;
};

struct ProcessingRequest {
  Part part = Part::Nothing;
  std::vector<HeaderFieldView> headers;  // of header and trailer messages, raw_value preferred
  std::string_view body;
  bool end_of_stream = false;
  std::string_view metadata_context;  // serialised core.v3.Metadata; empty: absent
  std::optional<ProtocolConfig> protocol_config;
  bool observability_mode = false;  // no answer is wanted
};
// Overwrites `out`, whose memory is reused. Errors: not such a message.
Result<void> parse_request(std::string_view bytes, ProcessingRequest& out);

// The texts at filter_metadata[filter][key]: a list's strings, or one string. nullopt: absent, or neither.
std::optional<std::vector<std::string_view>> metadata_texts(std::string_view metadata_context,
                                                            std::string_view filter, std::string_view key);

struct HeaderMutation {
  std::span<const HeaderFieldView> set;  // overwrite or add
  std::span<const std::string_view> remove = {};
};

// A Struct of Structs, as dynamic metadata is: namespace, key, text. Entries of one namespace stand together.
struct MetadataText {
  std::string_view name_space;
  std::string_view key;
  std::string_view text;
};
struct MetadataNumbers {  // a Struct of numbers at name_space/key
  std::string_view name_space;
  std::string_view key;
  std::span<const std::pair<std::string, double>> numbers;
};

struct CommonAnswer {
  HeaderMutation headers;
  bool clear_route_cache = false;
  std::span<const MetadataText> metadata = {};
  std::optional<MetadataNumbers> metadata_numbers = {};
  std::optional<BodyMode> response_body_override;  // mode_override; keeps trailers coming
};

// Each appends one ProcessingResponse.
void append_answer(std::string& out, Part part, const CommonAnswer& answer);
void append_trailers_answer(std::string& out, Part part);
// A body that goes on as it is: the answer to one chunk (STREAMED) or to the whole (BUFFERED).
void append_body_unchanged(std::string& out, Part part);
void append_body_replaced(std::string& out, Part part, const CommonAnswer& answer,
                          std::optional<std::string_view> body);

struct ImmediateResponse {
  int status = 500;
  std::string_view body;
  std::span<const HeaderFieldView> headers = {};
};
void append_immediate(std::string& out, const ImmediateResponse& response);

// A piece of a body under FULL_DUPLEX_STREAMED, without copying it: the message is head, body, tail.
class StreamedBody {
 public:
  StreamedBody(Part part, std::size_t body_bytes, bool end_of_stream);
  std::string_view head() const { return {head_, head_size_}; }
  std::string_view tail() const { return end_ ? std::string_view("\x10\x01", 2) : std::string_view(); }

 private:
  void add_length(std::size_t value);
  char head_[32];
  std::size_t head_size_ = 0;
  bool end_;
};

}  // namespace llmd::envoy
