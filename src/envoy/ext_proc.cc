#include "envoy/ext_proc.h"

#include <algorithm>

#include "envoy/ext_proc_fields.h"
#include "envoy/wire.h"

namespace llmd::envoy {
namespace {

constexpr std::uint32_t kObservabilityMode = 10;

bool is_part(std::uint32_t field) {
  return field >= 2 && field <= 7;
}

bool is_body(Part part) {
  return part == Part::RequestBody || part == Part::ResponseBody;
}

bool is_trailers(Part part) {
  return part == Part::RequestTrailers || part == Part::ResponseTrailers;
}

// The field of ProcessingResponse that answers a part.
std::uint32_t answer_field(Part part) {
  switch (part) {
    case Part::RequestHeaders:
      return 1;
    case Part::ResponseHeaders:
      return 2;
    case Part::RequestBody:
      return 3;
    case Part::ResponseBody:
      return 4;
    case Part::RequestTrailers:
      return 5;
    default:
      return 6;
  }
}

// core.v3.HeaderMap
bool read_header_map(std::string_view bytes, std::vector<HeaderFieldView>& out) {
  WireReader map(bytes);
  while (map.next()) {
    if (map.field() != 1 || map.type() != WireType::Bytes) {
      continue;
    }
    std::string_view key;
    std::string_view value;
    std::string_view raw;
    WireReader field(map.bytes());
    while (field.next()) {
      switch (field.field()) {
        case 1:
          key = field.bytes();
          break;
        case 2:
          value = field.bytes();
          break;
        case 3:
          raw = field.bytes();
          break;
        default:
          break;
      }
    }
    if (field.malformed()) {
      return false;
    }
    out.emplace_back(key, raw.empty() ? value : raw);
  }
  return !map.malformed();
}

bool read_part(std::string_view bytes, ProcessingRequest& out) {
  WireReader in(bytes);
  while (in.next()) {
    const bool first = in.field() == 1 && in.type() == WireType::Bytes;
    if (is_body(out.part)) {
      out.body = first ? in.bytes() : out.body;
      out.end_of_stream = in.field() == 2 ? in.flag() : out.end_of_stream;
    } else {
      if (first && !read_header_map(in.bytes(), out.headers)) {
        return false;
      }
      out.end_of_stream = in.field() == 3 && !is_trailers(out.part) ? in.flag() : out.end_of_stream;
    }
  }
  return !in.malformed();
}

BodyMode body_mode(std::uint64_t number) {
  return number <= static_cast<std::uint64_t>(BodyMode::Grpc) ? static_cast<BodyMode>(number)
                                                              : BodyMode::None;
}

bool read_protocol_config(std::string_view bytes, ProtocolConfig& out) {
  WireReader in(bytes);
  while (in.next()) {
    switch (in.field()) {
      case 1:
        out.request_body = body_mode(in.number());
        break;
      case 2:
        out.response_body = body_mode(in.number());
        break;
      case 3:
        out.body_without_waiting = in.flag();
        break;
      default:
        break;
    }
  }
  return !in.malformed();
}

// The value of a map<string, message> entry: google.protobuf.Struct.fields, Metadata.filter_metadata.
std::optional<std::string_view> map_entry(std::string_view message, std::string_view wanted) {
  std::optional<std::string_view> found;
  for (WireReader map(message); map.next();) {
    if (map.field() != 1) {
      continue;
    }
    std::string_view key;
    std::string_view value;
    for (WireReader entry(map.bytes()); entry.next();) {
      (entry.field() == 1 ? key : value) = entry.bytes();
    }
    if (key == wanted) {
      found = value;
    }
  }
  return found;
}

// google.protobuf.Value
constexpr std::uint32_t kNumberValue = 2;
constexpr std::uint32_t kStringValue = 3;
constexpr std::uint32_t kStructValue = 5;
constexpr std::uint32_t kListValue = 6;

void write_headers(WireWriter& out, std::uint32_t field, const HeaderMutation& mutation) {
  if (mutation.set.empty() && mutation.remove.empty()) {
    return;
  }
  out.message(field, [&mutation](WireWriter& in) {
    for (const auto& [name, value] : mutation.set) {
      in.message(1, [&](WireWriter& option) {
        option.message(1, [&](WireWriter& header) {
          header.bytes(1, name);
          header.bytes(3, value);
        });
      });
    }
    for (const std::string_view name : mutation.remove) {
      in.bytes(2, name);
    }
  });
}

// One entry of a Struct.
template <typename Value>
void write_entry(WireWriter& out, std::string_view key, Value value) {
  out.message(1, [&](WireWriter& entry) {
    entry.bytes(1, key);
    entry.message(2, value);
  });
}

void write_numbers(WireWriter& out, const MetadataNumbers& numbers) {
  write_entry(out, numbers.key, [&](WireWriter& value) {
    value.message(kStructValue, [&](WireWriter& in) {
      for (const auto& [key, number] : numbers.numbers) {
        write_entry(in, key, [&](WireWriter& leaf) { leaf.fixed64(kNumberValue, number); });
      }
    });
  });
}

void write_metadata(WireWriter& out, const CommonAnswer& answer) {
  if (answer.metadata.empty() && !answer.metadata_numbers) {
    return;
  }
  constexpr std::uint32_t kDynamicMetadata = 8;
  out.message(kDynamicMetadata, [&answer](WireWriter& in) {
    auto rest = answer.metadata;
    while (!rest.empty()) {
      const std::string_view name = rest.front().name_space;
      write_entry(in, name, [&](WireWriter& value) {
        value.message(kStructValue, [&](WireWriter& fields) {
          for (; !rest.empty() && rest.front().name_space == name; rest = rest.subspan(1)) {
            const std::string_view text = rest.front().text;
            write_entry(fields, rest.front().key, [&](WireWriter& leaf) { leaf.bytes(kStringValue, text); });
          }
          if (answer.metadata_numbers && answer.metadata_numbers->name_space == name) {
            write_numbers(fields, *answer.metadata_numbers);
          }
        });
      });
    }
  });
}

// extensions.filters.http.ext_proc.v3.ProcessingMode
void write_mode_override(WireWriter& out, BodyMode response_body) {
  constexpr std::uint32_t kModeOverride = 9;
  constexpr std::uint64_t kSend = 1;
  out.message(kModeOverride, [&](WireWriter& mode) {
    mode.number(2, kSend);  // response headers
    mode.number(4, static_cast<std::uint64_t>(response_body));
    mode.number(6, kSend);  // response trailers: they tell when the answer has ended
  });
}

void write_common(WireWriter& out, const CommonAnswer& answer) {
  write_headers(out, 2, answer.headers);
  if (answer.clear_route_cache) {
    out.number(5, 1);
  }
}

void write_beside(WireWriter& out, const CommonAnswer& answer) {
  write_metadata(out, answer);
  if (answer.response_body_override) {
    write_mode_override(out, *answer.response_body_override);
  }
}

}  // namespace

Result<void> parse_request(std::string_view bytes, ProcessingRequest& out) {
  out.part = Part::Nothing;
  out.headers.clear();
  out.body = {};
  out.end_of_stream = false;
  out.metadata_context = {};
  out.protocol_config.reset();
  out.observability_mode = false;
  WireReader in(bytes);
  bool good = true;
  while (good && in.next()) {
    if (is_part(in.field()) && in.type() == WireType::Bytes) {
      out.part = static_cast<Part>(in.field());
      good = read_part(in.bytes(), out);
    } else if (in.field() == kMetadataContext) {
      out.metadata_context = in.bytes();
    } else if (in.field() == kObservabilityMode) {
      out.observability_mode = in.flag();
    } else if (in.field() == kProtocolConfig) {
      good = read_protocol_config(in.bytes(), out.protocol_config.emplace());
    }
  }
  if (!good || in.malformed()) {
    return invalid_argument("not a ProcessingRequest");
  }
  return {};
}

std::optional<std::vector<std::string_view>> metadata_texts(std::string_view metadata_context,
                                                            std::string_view filter, std::string_view key) {
  const auto structure = map_entry(metadata_context, filter);
  const auto value = structure ? map_entry(*structure, key) : std::nullopt;
  if (!value) {
    return std::nullopt;
  }
  std::optional<std::vector<std::string_view>> texts;
  for (WireReader in(*value); in.next();) {
    if (in.field() == kStringValue) {
      texts = {in.bytes()};
    } else if (in.field() == kListValue) {
      texts.emplace();
      for (WireReader list(in.bytes()); list.next();) {
        for (WireReader element(list.bytes()); element.next();) {
          if (element.field() == kStringValue) {
            texts->push_back(element.bytes());
          }
        }
      }
    }
  }
  return texts;
}

void append_answer(std::string& out, Part part, const CommonAnswer& answer) {
  WireWriter writer(out);
  writer.message(answer_field(part), [&](WireWriter& response) {
    response.message(1, [&](WireWriter& common) { write_common(common, answer); });
  });
  write_beside(writer, answer);
}

void append_trailers_answer(std::string& out, Part part) {
  WireWriter(out).message(answer_field(part), [](WireWriter&) {});
}

void append_body_unchanged(std::string& out, Part part) {
  append_answer(out, part, {});
}

void append_body_replaced(std::string& out, Part part, const CommonAnswer& answer,
                          std::optional<std::string_view> body) {
  WireWriter writer(out);
  writer.message(answer_field(part), [&](WireWriter& response) {
    response.message(1, [&](WireWriter& common) {
      write_common(common, answer);
      if (body) {
        common.message(3, [&](WireWriter& mutation) { mutation.bytes(1, *body); });
      }
    });
  });
  write_beside(writer, answer);
}

void append_immediate(std::string& out, const ImmediateResponse& response) {
  WireWriter(out).message(7, [&](WireWriter& in) {
    in.message(1, [&](WireWriter& status) { status.number(1, static_cast<std::uint64_t>(response.status)); });
    write_headers(in, 2, {.set = response.headers});
    in.bytes(3, response.body);
  });
}

// BodyResponse{response=1 CommonResponse{body_mutation=3 BodyMutation{streamed_response=3 {body=1, end=2}}}}
StreamedBody::StreamedBody(Part part, std::size_t body_bytes, bool end_of_stream) : end_(end_of_stream) {
  const std::size_t body = body_bytes == 0 ? 0 : 1 + varint_size(body_bytes) + body_bytes;
  const std::size_t streamed = body + (end_ ? 2 : 0);
  const std::size_t mutation = 1 + varint_size(streamed) + streamed;
  const std::size_t common = 1 + varint_size(mutation) + mutation;
  const std::size_t response = 1 + varint_size(common) + common;
  head_[head_size_++] = static_cast<char>(answer_field(part) << 3 | 2);
  add_length(response);
  head_[head_size_++] = 1 << 3 | 2;
  add_length(common);
  head_[head_size_++] = 3 << 3 | 2;
  add_length(mutation);
  head_[head_size_++] = 3 << 3 | 2;
  add_length(streamed);
  if (body_bytes > 0) {
    head_[head_size_++] = 1 << 3 | 2;
    add_length(body_bytes);
  }
}

void StreamedBody::add_length(std::size_t value) {
  while (value >= 0x80) {
    head_[head_size_++] = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  head_[head_size_++] = static_cast<char>(value);
}

}  // namespace llmd::envoy
