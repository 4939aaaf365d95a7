#include "gateway/picker_call.h"

#include <algorithm>
#include <array>

#include "async/scope.h"
#include "base/strings.h"

namespace llmd::gateway {
namespace {

using envoy::HeaderChange;
using envoy::HeaderFieldView;
using envoy::Part;

constexpr std::string_view kDestination = "x-gateway-destination-endpoint";
constexpr std::string_view kServed = "x-gateway-destination-endpoint-served";
constexpr std::string_view kMetadata = "envoy.lb";
constexpr std::size_t kPieceBytes = 64 * 1024;
constexpr std::size_t kMostDestinations = 16;

// Lower-case copies of names that are not.
class LowerCase {
 public:
  std::string_view operator()(std::string_view name) {
    const bool lower = std::ranges::none_of(name, [](char c) { return c >= 'A' && c <= 'Z'; });
    return lower ? name
                 : std::string_view(*copies_.emplace_back(std::make_unique<std::string>(to_lower(name))));
  }

 private:
  std::vector<std::unique_ptr<std::string>> copies_;
};

bool is_token(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kOthers.find(c) != std::string_view::npos;
  });
}

bool is_field_value(std::string_view value) {
  return std::ranges::none_of(value, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7f;
  });
}

bool is_target(std::string_view path) {
  return path.starts_with('/') && is_field_value(path) && path.find_first_of(" \t") == std::string_view::npos;
}

bool may_change(std::string_view name) {
  constexpr auto kNever = std::to_array<std::string_view>({"host", "content-length", "transfer-encoding",
                                                           "connection", "keep-alive", "upgrade", "te",
                                                           "trailer", "expect", "proxy-connection"});
  return is_token(name) && !std::ranges::any_of(kNever, [name](std::string_view each) {
           return equals_ignoring_case(each, name);
         });
}

// "10.0.0.1:8000,10.0.0.2:8000"
Result<std::vector<net::Address>> parse_destinations(std::string_view text) {
  std::vector<net::Address> destinations;
  for (const std::string_view item : split(text, ',')) {
    if (trim(item).empty() || destinations.size() == kMostDestinations) {
      continue;
    }
    LLMD_TRY(auto address, net::parse_address(trim(item)));
    destinations.push_back(std::move(address));
  }
  if (destinations.empty()) {
    return unavailable("it named no endpoint");
  }
  return destinations;
}

// The body as it comes back: a copy is made only once it differs from what was sent.
class ReturnedBody {
 public:
  ReturnedBody(std::string_view sent, std::size_t most_bytes) : sent_(sent), most_bytes_(most_bytes) {}

  Result<void> add(std::string_view piece) {
    if (!replaced_ && sent_.substr(same_).starts_with(piece)) {
      same_ += piece.size();
      return {};
    }
    if (!replaced_) {
      replaced_.emplace(sent_.substr(0, same_));
    }
    if (replaced_->size() + piece.size() > most_bytes_) {
      return resource_exhausted("it made the request's body larger than {} bytes", most_bytes_);
    }
    *replaced_ += piece;
    return {};
  }
  std::optional<std::string> take() {
    if (!replaced_ && same_ < sent_.size()) {
      return std::string(sent_.substr(0, same_));
    }
    return std::move(replaced_);
  }

 private:
  std::string_view sent_;
  std::size_t most_bytes_;
  std::size_t same_ = 0;
  std::optional<std::string> replaced_;
};

}  // namespace

void apply_changes(const envoy::ProcessingResponse& response, http::Headers& headers) {
  for (const std::string_view name : response.remove) {
    if (may_change(name)) {
      headers.remove(name);
    }
  }
  for (const HeaderChange& change : response.set) {
    if (!may_change(change.name) || !is_field_value(change.value)) {
      continue;
    }
    using Action = HeaderChange::Action;
    const bool exists = change.action != Action::Overwrite && headers.has(change.name);
    if (change.action == Action::Append) {
      headers.add(std::string(change.name), std::string(change.value));
    } else if (change.action == Action::Overwrite || exists == (change.action == Action::OverwriteIfExists)) {
      headers.set(change.name, std::string(change.value));
    }
  }
}

ImmediateAnswer immediate_answer(const envoy::ProcessingResponse& response) {
  ImmediateAnswer answer;
  const int status = *response.immediate_status;
  answer.head.status = status >= 200 && status < 600 ? status : 500;
  apply_changes(response, answer.head.headers);
  if (!answer.head.headers.has("content-type")) {
    answer.head.headers.add("Content-Type", "text/plain; charset=utf-8");
  }
  answer.body = response.immediate_body;
  return answer;
}

Result<std::unique_ptr<PickerCall>> PickerCall::open(std::shared_ptr<http::Http2Client> client) {
  LLMD_TRY(auto stream, http::grpc_open(*client, std::string(envoy::kProcessMethod)));
  return std::unique_ptr<PickerCall>(new PickerCall(std::move(client), std::move(stream)));
}

Task<Result<void>> PickerCall::send_body(Part part, std::string_view body, bool end_of_stream) {
  std::string message;
  do {
    const std::string_view piece = body.substr(0, kPieceBytes);
    body.remove_prefix(piece.size());
    message.clear();
    envoy::append_body(message, part, piece, end_of_stream && body.empty());
    LLMD_CO_TRY_VOID(co_await stream_->send(message));
  } while (!body.empty());
  co_return Result<void>();
}

// Errors of sending are told by receiving: the call is over then.
Task<void> PickerCall::send_request(const http::RequestHead& head, std::string_view body,
                                    std::string_view scheme) {
  LowerCase lower;
  std::vector<HeaderFieldView> fields{{":method", head.method},
                                      {":path", head.target},
                                      {":scheme", scheme},
                                      {":authority", head.headers.find("host").value_or("")}};
  for (const auto& [name, value] : head.headers) {
    if (const std::string_view written = lower(name); written != "host") {
      fields.emplace_back(written, value);
    }
  }
  std::string message;
  using enum envoy::BodyMode;
  envoy::append_headers(
      message, Part::RequestHeaders, fields, body.empty(),
      {.protocol_config = envoy::ProtocolConfig{FullDuplexStreamed, FullDuplexStreamed, true}});
  const auto sent = co_await stream_->send(message);
  if (sent && !body.empty()) {
    co_await send_body(Part::RequestBody, body, true);
  }
}

Task<Result<const envoy::ProcessingResponse*>> PickerCall::receive() {
  LLMD_CO_TRY(const auto message, co_await stream_->receive());
  if (!message) {
    co_return unavailable("it ended the call");
  }
  LLMD_CO_TRY_VOID(envoy::parse_response(*message, response_));
  if (response_.other_body) {
    co_return failed_precondition("it answered a streamed body in another mode");
  }
  wants_response_headers_ = wants_response_headers_ && !response_.skip_response_headers;
  if (response_.response_body_override) {
    wants_response_body_ = *response_.response_body_override != envoy::BodyMode::None;
  }
  wants_response_trailers_ = response_.response_trailers_override.value_or(wants_response_trailers_);
  co_return &response_;
}

Task<Result<void>> PickerCall::receive_decision(Picked& picked, std::string_view body,
                                                std::size_t most_bytes) {
  ReturnedBody returned(body, most_bytes);
  bool has_headers = false;
  bool has_body = body.empty();
  while (!has_headers || !has_body) {
    LLMD_CO_TRY(const auto* response, co_await receive());
    if (response->immediate_status) {
      picked.refused = immediate_answer(*response);
      co_return Result<void>();
    }
    if (response->part == Part::RequestHeaders) {
      has_headers = true;
      apply_changes(*response, picked.head.headers);
      for (const HeaderChange& change : response->set) {
        if (change.name == ":path" && is_target(change.value)) {
          picked.head.target = change.value;
        }
      }
      const auto destination = picked.head.headers.find(kDestination);
      const auto named =
          destination ? destination : envoy::struct_text(response->dynamic_metadata, kMetadata, kDestination);
      LLMD_CO_TRY(picked.destinations, parse_destinations(named.value_or("")));
    } else if (response->part == Part::RequestBody) {
      LLMD_CO_TRY_VOID(returned.add(response->body));
      has_body = has_body || response->end_of_stream;
    }
  }
  picked.body = returned.take();
  co_return Result<void>();
}

// Sent while decisions are awaited: a picker may refuse, or give pieces back, before it has everything.
Task<Result<Picked>> PickerCall::pick(http::RequestHead head, std::string_view body, std::string_view scheme,
                                      std::size_t most_bytes) {
  Picked picked;
  picked.head = head;
  Result<void> received;
  const Executor executor = co_await async::current_executor();
  auto talk = [&](async::Scope& scope) -> Task<void> {
    scope.spawn("ext_proc request", send_request(head, body, scheme));
    received = co_await receive_decision(picked, body, most_bytes);
  };
  co_await async::with_scope(executor, talk);
  if (!received) {
    co_return std::unexpected(std::move(received).error());
  }
  co_return picked;
}

Task<Result<void>> PickerCall::send_response_headers(const http::ResponseHead& head, bool end_of_stream,
                                                     std::string_view served_by) {
  LowerCase lower;
  const std::string status = std::to_string(head.status);
  std::vector<HeaderFieldView> fields{{":status", status}};
  for (const auto& [name, value] : head.headers) {
    fields.emplace_back(lower(name), value);
  }
  const envoy::MetadataText served[] = {{kMetadata, kServed, served_by}};
  std::string message;
  envoy::append_headers(message, Part::ResponseHeaders, fields, end_of_stream, {.metadata = served});
  co_return co_await stream_->send(message);
}

Task<Result<void>> PickerCall::send_response_body(std::string_view body, bool end_of_stream) {
  co_return co_await send_body(Part::ResponseBody, body, end_of_stream);
}

Task<Result<void>> PickerCall::send_response_trailers(const http::Headers& trailers) {
  LowerCase lower;
  std::vector<HeaderFieldView> fields;
  for (const auto& [name, value] : trailers) {
    fields.emplace_back(lower(name), value);
  }
  std::string message;
  envoy::append_trailers(message, Part::ResponseTrailers, fields);
  co_return co_await stream_->send(message);
}

}  // namespace llmd::gateway
