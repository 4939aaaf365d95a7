#include "http/http2_session.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "base/assert.h"
#include "base/strings.h"
#include "http/http2_callbacks.h"
#include "http/http2_fields.h"

namespace llmd::http {
namespace {

template <typename Option>
using Owned = std::unique_ptr<Option, void (*)(Option*)>;

Owned<nghttp2_option> make_options(const Http2Limits& limits) {
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_stream_reset_rate_limit(option, limits.resets_at_once, limits.resets_per_second);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_max_send_header_block_length(option, 256 * 1024);
  return {option, nghttp2_option_del};
}

std::int64_t now_in_milliseconds() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

}  // namespace

Http2Session::Http2Session(Side side, const Http2Limits& limits, Accept accept)
    : side_(side), limits_(limits), accept_(std::move(accept)) {
  const auto callbacks = Http2Callbacks::make();
  const auto options = make_options(limits);
  if (side == Side::Server) {
    nghttp2_session_server_new2(&session_, callbacks.get(), this, options.get());
  } else {
    nghttp2_session_client_new2(&session_, callbacks.get(), this, options.get());
  }
  LLMD_ASSERT(session_ != nullptr, "an HTTP/2 session without memory");
  const std::array<nghttp2_settings_entry, 4> settings{{
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, side == Side::Server ? limits.max_streams : 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(limits.max_header_bytes)},
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
  }};
  const std::size_t count = side == Side::Server ? 3 : 4;
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), count);
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<std::int32_t>(limits.connection_window));
}

Http2Session::~Http2Session() {
  lose();
  nghttp2_session_del(session_);
}

Result<void> Http2Session::feed(std::string_view bytes) {
  feeding_ = true;
  const auto used =
      nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  feeding_ = false;
  if (used >= 0) {
    return {};
  }
  const char* reason = nghttp2_strerror(static_cast<int>(used));
  if (used == NGHTTP2_ERR_FLOODED || used == NGHTTP2_ERR_CALLBACK_FAILURE) {
    nghttp2_session_terminate_session(session_, NGHTTP2_ENHANCE_YOUR_CALM);
    return resource_exhausted("HTTP/2: the peer floods the connection ({})", reason);
  }
  nghttp2_session_terminate_session(session_, NGHTTP2_PROTOCOL_ERROR);
  return invalid_argument("HTTP/2: {}", reason);
}

bool Http2Session::collect(Http2Batch& out, std::size_t limit) {
  if (lost_) {
    return false;
  }
  const std::size_t before = out.size();
  out_ = &out;
  out_limit_ = before + limit;
  const bool was_feeding = std::exchange(feeding_, true);  // handlers must not flush now
  nghttp2_session_send(session_);
  feeding_ = was_feeding;
  out_ = nullptr;
  return out.size() > before;
}

bool Http2Session::wants_write() const {
  return !lost_ && nghttp2_session_want_write(session_) != 0;
}

bool Http2Session::finished() const {
  return nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
}

bool Http2Session::can_open() const {
  return !lost_ && !shutting_down_ && !peer_goes_away_ &&
         nghttp2_session_check_request_allowed(session_) != 0 &&
         streams_.size() <
             nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

Http2Stream* Http2Session::open(const RequestHead& head, std::string_view scheme,
                                std::shared_ptr<StreamHandler> handler, bool end) {
  if (!can_open()) {
    return nullptr;
  }
  Http2Fields fields;
  fields.add(":method", head.method);
  fields.add(":scheme", scheme);
  fields.add(":path", head.target);
  fields.add(":authority", head.headers.find("Host").value_or(""));
  fields.add_all(head.headers);
  const auto names = fields.build();
  Http2Stream& stream = add_stream(0);
  nghttp2_data_provider body = Http2Callbacks::body_of(stream);
  const std::int32_t id =
      nghttp2_submit_request(session_, nullptr, names.data(), names.size(), end ? nullptr : &body, &stream);
  if (id < 0) {
    streams_.erase(stream.position_);
    return nullptr;
  }
  stream.id_ = id;
  stream.request_.method = head.method;
  stream.handler_ = std::move(handler);
  stream.ended_ = stream.end_taken_ = end;
  return &stream;
}

void Http2Session::ping() {
  const std::array<std::uint8_t, 8> opaque{};
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, opaque.data());
}

void Http2Session::announce_shutdown() {
  if (!std::exchange(shutting_down_, true) && side_ == Side::Server) {
    nghttp2_submit_shutdown_notice(session_);
    ping();
  }
}

void Http2Session::refuse_new_streams() {
  shutting_down_ = true;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                        NGHTTP2_NO_ERROR, nullptr, 0);
}

void Http2Session::lose() {
  lost_ = true;
  while (!streams_.empty()) {
    close(streams_.front(), false);
  }
}

Http2Stream& Http2Session::add_stream(std::int32_t id) {
  Http2Stream& stream = streams_.emplace_back(*this, id);
  stream.position_ = std::prev(streams_.end());
  return stream;
}

void Http2Session::close(Http2Stream& stream, bool in_order) {
  if (stream.unconsumed_ > 0) {
    nghttp2_session_consume_connection(session_, stream.unconsumed_);
  }
  nghttp2_session_set_stream_user_data(session_, stream.id_, nullptr);
  const auto handler = std::move(stream.handler_);
  if (handler) {
    handler->on_closed(in_order);
  }
  streams_.erase(stream.position_);
}

// Frames that cost the peer little and us something. The clock is asked only now and then.
bool Http2Session::floods() {
  if (++control_frames_ < static_cast<double>(limits_.control_frames_at_once)) {
    return false;
  }
  const std::int64_t now = now_in_milliseconds();
  const auto leaked = static_cast<double>(now - std::exchange(leaked_at_, now)) / 1000 *
                      static_cast<double>(limits_.control_frames_per_second);
  control_frames_ = std::max(0.0, control_frames_ - leaked);
  return control_frames_ >= static_cast<double>(limits_.control_frames_at_once);
}

}  // namespace llmd::http
