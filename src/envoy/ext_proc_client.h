// The proxy's side of envoy.service.ext_proc.v3: what a proxy tells an external processor, and what it reads
// back. Bodies under FULL_DUPLEX_STREAMED only. Views point into the message that was parsed. Pure; any
// thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "envoy/ext_proc.h"

namespace llmd::envoy {

// What goes with a message of any kind.
struct Beside {
  std::optional<ProtocolConfig> protocol_config = {};  // with the first message of a stream
  std::span<const MetadataText> metadata = {};  // filter_metadata; entries of one filter stand together
};

// Each appends one ProcessingRequest. Header names are written as they are given: lower case is the caller's.
void append_headers(std::string& out, Part part, std::span<const HeaderFieldView> headers, bool end_of_stream,
                    const Beside& beside = {});
void append_body(std::string& out, Part part, std::string_view body, bool end_of_stream);
void append_trailers(std::string& out, Part part, std::span<const HeaderFieldView> trailers);

struct HeaderChange {
  enum class Action { Overwrite, Append, AddIfAbsent, OverwriteIfExists };
  std::string_view name;
  std::string_view value;
  Action action = Action::Overwrite;
};

struct ProcessingResponse {
  Part part = Part::Nothing;      // what it answers
  std::vector<HeaderChange> set;  // in their order
  std::vector<std::string_view> remove;
  bool has_body = false;  // a streamed piece of the new body
  std::string_view body;
  bool end_of_stream = false;
  bool other_body = false;              // a change of the body that is not streamed: not allowed in this mode
  std::optional<int> immediate_status;  // the answer for the client; part is Nothing
  std::string_view immediate_body;
  std::string_view dynamic_metadata;   // serialised Struct; empty: absent
  bool skip_response_headers = false;  // mode_override
  std::optional<BodyMode> response_body_override;
  std::optional<bool> response_trailers_override;  // mode_override: whether trailers are wanted
};
// Overwrites `out`, whose memory is reused. Errors: not such a message.
Result<void> parse_response(std::string_view bytes, ProcessingResponse& out);

// The text at name_space/key of a Struct of Structs, as dynamic metadata is.
std::optional<std::string_view> struct_text(std::string_view structure, std::string_view name_space,
                                            std::string_view key);

}  // namespace llmd::envoy
