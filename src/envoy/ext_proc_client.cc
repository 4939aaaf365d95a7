#include "envoy/ext_proc_client.h"

#include "envoy/ext_proc_fields.h"
#include "envoy/wire.h"

namespace llmd::envoy {
namespace {

constexpr std::uint32_t kDynamicMetadata = 8;
constexpr std::uint32_t kModeOverride = 9;
constexpr std::uint32_t kImmediate = 7;

void write_header_map(WireWriter& out, std::span<const HeaderFieldView> headers) {
  out.message(1, [headers](WireWriter& map) {
    for (const auto& [name, value] : headers) {
      map.message(1, [&](WireWriter& field) {
        field.bytes(1, name);
        field.bytes(3, value);  // raw_value: what Envoy sends
      });
    }
  });
}

// core.v3.Metadata{filter_metadata=1: map<string, Struct{fields=1: map<string, Value>}>}
void write_metadata(WireWriter& out, std::span<const MetadataText> metadata) {
  constexpr std::uint32_t kStringValue = 3;
  out.message(kMetadataContext, [metadata](WireWriter& in) {
    for (auto rest = metadata; !rest.empty();) {
      const std::string_view name = rest.front().name_space;
      in.message(1, [&](WireWriter& entry) {
        entry.bytes(1, name);
        entry.message(2, [&](WireWriter& structure) {
          for (; !rest.empty() && rest.front().name_space == name; rest = rest.subspan(1)) {
            structure.message(1, [&](WireWriter& field) {
              field.bytes(1, rest.front().key);
              field.message(2, [&](WireWriter& value) { value.bytes(kStringValue, rest.front().text); });
            });
          }
        });
      });
    }
  });
}

void write_protocol_config(WireWriter& out, const ProtocolConfig& config) {
  out.message(kProtocolConfig, [&config](WireWriter& in) {
    in.number(1, static_cast<std::uint64_t>(config.request_body));
    in.number(2, static_cast<std::uint64_t>(config.response_body));
    in.number(3, config.body_without_waiting ? 1 : 0);
  });
}

// Which part a field of ProcessingResponse answers.
Part answered_part(std::uint32_t field) {
  constexpr Part kParts[] = {Part::Nothing,         Part::RequestHeaders, Part::ResponseHeaders,
                             Part::RequestBody,     Part::ResponseBody,   Part::RequestTrailers,
                             Part::ResponseTrailers};
  return field < std::size(kParts) ? kParts[field] : Part::Nothing;
}

// core.v3.HeaderValueOption
bool read_header_option(std::string_view bytes, HeaderChange& out) {
  std::string_view value;
  std::string_view raw;
  bool append = false;
  std::uint64_t action = 0;
  WireReader option(bytes);
  while (option.next()) {
    if (option.field() == 1) {
      WireReader header(option.bytes());
      while (header.next()) {
        switch (header.field()) {
          case 1:
            out.name = header.bytes();
            break;
          case 2:
            value = header.bytes();
            break;
          case 3:
            raw = header.bytes();
            break;
          default:
            break;
        }
      }
      if (header.malformed()) {
        return false;
      }
    } else if (option.field() == 2) {
      for (WireReader flag(option.bytes()); flag.next();) {
        append = flag.field() == 1 && flag.flag();
      }
    } else if (option.field() == 3) {
      action = option.number();
    }
  }
  out.value = raw.empty() ? value : raw;
  // Without `append` and `append_action` ext_proc means: overwrite.
  using Action = HeaderChange::Action;
  out.action = append        ? Action::Append
               : action == 1 ? Action::AddIfAbsent
               : action == 3 ? Action::OverwriteIfExists
                             : Action::Overwrite;
  return !option.malformed();
}

bool read_header_mutation(std::string_view bytes, ProcessingResponse& out) {
  WireReader in(bytes);
  while (in.next()) {
    if (in.field() == 1) {
      HeaderChange change;
      if (!read_header_option(in.bytes(), change)) {
        return false;
      }
      out.set.push_back(change);
    } else if (in.field() == 2) {
      out.remove.push_back(in.bytes());
    }
  }
  return !in.malformed();
}

bool read_body_mutation(std::string_view bytes, ProcessingResponse& out) {
  WireReader in(bytes);
  while (in.next()) {
    if (in.field() != 3) {
      out.other_body = true;
      continue;
    }
    out.has_body = true;
    WireReader streamed(in.bytes());
    while (streamed.next()) {
      if (streamed.field() == 1) {
        out.body = streamed.bytes();
      } else if (streamed.field() == 2) {
        out.end_of_stream = streamed.flag();
      }
    }
    if (streamed.malformed()) {
      return false;
    }
  }
  return !in.malformed();
}

// HeadersResponse and BodyResponse hold a CommonResponse, TrailersResponse a HeaderMutation, each in field 1.
bool read_answer(std::string_view bytes, ProcessingResponse& out) {
  const bool trailers = out.part == Part::RequestTrailers || out.part == Part::ResponseTrailers;
  WireReader in(bytes);
  bool good = true;
  while (good && in.next()) {
    if (in.field() != 1) {
      continue;
    }
    if (trailers) {
      good = read_header_mutation(in.bytes(), out);
      continue;
    }
    WireReader common(in.bytes());
    while (good && common.next()) {
      if (common.field() == 2) {
        good = read_header_mutation(common.bytes(), out);
      } else if (common.field() == 3) {
        good = read_body_mutation(common.bytes(), out);
      }
    }
    good = good && !common.malformed();
  }
  return good && !in.malformed();
}

bool read_immediate(std::string_view bytes, ProcessingResponse& out) {
  out.immediate_status = 200;
  WireReader in(bytes);
  bool good = true;
  while (good && in.next()) {
    if (in.field() == 1) {
      for (WireReader status(in.bytes()); status.next();) {
        out.immediate_status =
            status.field() == 1 ? static_cast<int>(status.number() & 0xffff) : *out.immediate_status;
      }
    } else if (in.field() == 2) {
      good = read_header_mutation(in.bytes(), out);
    } else if (in.field() == 3) {
      out.immediate_body = in.bytes();
    }
  }
  return good && !in.malformed();
}

// extensions.filters.http.ext_proc.v3.ProcessingMode
void read_mode_override(std::string_view bytes, ProcessingResponse& out) {
  constexpr std::uint64_t kSend = 1;
  constexpr std::uint64_t kSkip = 2;
  // What it does not say has its default, whatever went before: neither body nor trailers.
  out.response_body_override = BodyMode::None;
  out.response_trailers_override = false;
  for (WireReader in(bytes); in.next();) {
    if (in.field() == 2) {
      out.skip_response_headers = in.number() == kSkip;
    } else if (in.field() == 4 && in.number() <= static_cast<std::uint64_t>(BodyMode::Grpc)) {
      out.response_body_override = static_cast<BodyMode>(in.number());
    } else if (in.field() == 6) {
      out.response_trailers_override = in.number() == kSend;
    }
  }
}

}  // namespace

void append_headers(std::string& out, Part part, std::span<const HeaderFieldView> headers, bool end_of_stream,
                    const Beside& beside) {
  WireWriter writer(out);
  writer.message(static_cast<std::uint32_t>(part), [&](WireWriter& in) {
    write_header_map(in, headers);
    if (end_of_stream) {
      in.number(3, 1);
    }
  });
  if (!beside.metadata.empty()) {
    write_metadata(writer, beside.metadata);
  }
  if (beside.protocol_config) {
    write_protocol_config(writer, *beside.protocol_config);
  }
}

void append_body(std::string& out, Part part, std::string_view body, bool end_of_stream) {
  WireWriter(out).message(static_cast<std::uint32_t>(part), [&](WireWriter& in) {
    in.bytes(1, body);
    if (end_of_stream) {
      in.number(2, 1);
    }
  });
}

void append_trailers(std::string& out, Part part, std::span<const HeaderFieldView> trailers) {
  WireWriter(out).message(static_cast<std::uint32_t>(part),
                          [&](WireWriter& in) { write_header_map(in, trailers); });
}

Result<void> parse_response(std::string_view bytes, ProcessingResponse& out) {
  auto set = std::move(out.set);
  auto remove = std::move(out.remove);
  set.clear();
  remove.clear();
  out = {};
  out.set = std::move(set);
  out.remove = std::move(remove);
  WireReader in(bytes);
  bool good = true;
  while (good && in.next()) {
    if (in.type() != WireType::Bytes) {
      continue;
    }
    if (const Part part = answered_part(in.field()); part != Part::Nothing) {
      out.part = part;
      good = read_answer(in.bytes(), out);
    } else if (in.field() == kImmediate) {
      good = read_immediate(in.bytes(), out);
    } else if (in.field() == kDynamicMetadata) {
      out.dynamic_metadata = in.bytes();
    } else if (in.field() == kModeOverride) {
      read_mode_override(in.bytes(), out);
    }
  }
  if (!good || in.malformed()) {
    return invalid_argument("not a ProcessingResponse");
  }
  return {};
}

std::optional<std::string_view> struct_text(std::string_view structure, std::string_view name_space,
                                            std::string_view key) {
  constexpr std::uint32_t kStringValue = 3;
  constexpr std::uint32_t kStructValue = 5;
  const auto value_at = [](std::string_view fields, std::string_view wanted) {
    std::optional<std::string_view> found;
    for (WireReader map(fields); map.next();) {
      std::string_view name;
      std::string_view value;
      for (WireReader entry(map.bytes()); entry.next();) {
        (entry.field() == 1 ? name : value) = entry.bytes();
      }
      if (map.field() == 1 && name == wanted) {
        found = value;
      }
    }
    return found;
  };
  const auto member_of = [](std::optional<std::string_view> value,
                            std::uint32_t field) -> std::optional<std::string_view> {
    if (!value) {
      return std::nullopt;
    }
    std::optional<std::string_view> found;
    for (WireReader in(*value); in.next();) {
      if (in.field() == field && in.type() == WireType::Bytes) {
        found = in.bytes();
      }
    }
    return found;
  };
  const auto inner = member_of(value_at(structure, name_space), kStructValue);
  return inner ? member_of(value_at(*inner, key), kStringValue) : std::nullopt;
}

}  // namespace llmd::envoy
