#include "http/http2_callbacks.h"

#include "base/strings.h"
#include "http/head_parser.h"
#include "http/http2_fields.h"

namespace llmd::http {
namespace {

// Per field, what RFC 9113 6.5.2 counts besides name and value.
constexpr std::size_t kFieldOverhead = 32;

Http2Stream* stream_of(nghttp2_session* session, std::int32_t id) {
  return static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(session, id));
}

Http2Session& session_of(void* user) {
  return *static_cast<Http2Session*>(user);
}

std::string_view view(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace

std::unique_ptr<nghttp2_session_callbacks, void (*)(nghttp2_session_callbacks*)> Http2Callbacks::make() {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
  nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
  nghttp2_session_callbacks_set_send_callback(callbacks, on_send);
  nghttp2_session_callbacks_set_send_data_callback(callbacks, send_body);
  return {callbacks, nghttp2_session_callbacks_del};
}

nghttp2_data_provider Http2Callbacks::body_of(Http2Stream& stream) {
  nghttp2_data_provider provider{};
  provider.source.ptr = &stream;
  provider.read_callback = read_body;
  return provider;
}

// --- what arrives

int Http2Callbacks::on_begin_headers(nghttp2_session* raw, const nghttp2_frame* frame, void* user) {
  if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
    Http2Stream& stream = session_of(user).add_stream(frame->hd.stream_id);
    nghttp2_session_set_stream_user_data(raw, frame->hd.stream_id, &stream);
  }
  return 0;
}

void Http2Callbacks::add_request_field(Http2Stream& stream, std::string_view name, std::string_view value) {
  RequestHead& head = stream.request_;
  if (name == ":method") {
    head.method = value;
  } else if (name == ":path") {
    head.target = value;
  } else if (name == ":authority") {
    stream.authority_ = value;
  } else if (name == "cookie") {  // one field in HTTP/1, any number of them here
    stream.cookies_ += stream.cookies_.empty() ? "" : "; ";
    stream.cookies_ += value;
  } else if (!name.starts_with(':')) {
    head.headers.add(std::string(name), std::string(value));
  }
}

int Http2Callbacks::on_header(nghttp2_session* raw, const nghttp2_frame* frame, const std::uint8_t* name,
                              std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                              std::uint8_t, void* user) {
  Http2Stream* stream = stream_of(raw, frame->hd.stream_id);
  if (stream == nullptr) {
    return 0;
  }
  const Http2Session& session = session_of(user);
  stream->header_bytes_ += name_size + value_size + kFieldOverhead;
  if (stream->header_bytes_ > session.limits_.max_header_bytes) {
    stream->oversized_ = true;  // what is in excess is dropped; the server answers 431
    return 0;
  }
  const std::string_view field = view(name, name_size);
  const std::string_view text = view(value, value_size);
  if (stream->head_complete_) {
    stream->trailers_.add(std::string(field), std::string(text));
  } else if (session.side_ == Http2Session::Side::Server) {
    add_request_field(*stream, field, text);
  } else if (field == ":status") {
    stream->response_.status = static_cast<int>(parse_integer(text).value_or(0));
  } else {
    stream->response_.headers.add(std::string(field), std::string(text));
  }
  return 0;
}

void Http2Callbacks::headers_complete(Http2Session& session, Http2Stream& stream,
                                      const nghttp2_frame& frame) {
  if (stream.head_complete_) {
    if (stream.handler_) {
      stream.handler_->on_trailers(std::move(stream.trailers_));
    }
    return;
  }
  if (session.side_ == Http2Session::Side::Client) {
    if (stream.response_.status < 200) {  // informational: another head follows
      stream.response_ = {};
      return;
    }
    stream.head_complete_ = true;
    if (stream.handler_) {
      stream.handler_->on_response(std::move(stream.response_));
    }
    return;
  }
  stream.head_complete_ = true;
  RequestHead& head = stream.request_;
  if (!stream.authority_.empty()) {
    head.headers.set("Host", std::move(stream.authority_));
  }
  if (!is_authority(head.headers.find("Host").value_or(""))) {
    stream.reset(Http2Error::Protocol);
    return;
  }
  if (!stream.cookies_.empty()) {
    head.headers.add("cookie", std::move(stream.cookies_));
  }
  stream.peer_ended_ = (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  stream.handler_ = session.accept_ ? session.accept_(stream) : nullptr;
  if (!stream.handler_) {
    stream.reset(Http2Error::RefusedStream);
  }
}

int Http2Callbacks::on_frame(nghttp2_session* raw, const nghttp2_frame* frame, void* user) {
  Http2Session& session = session_of(user);
  if (frame->hd.type == NGHTTP2_GOAWAY) {
    session.peer_goes_away_ = true;
    return 0;
  }
  if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
    if (session.shutting_down_ && session.side_ == Http2Session::Side::Server) {
      session.refuse_new_streams();  // the warning has been heard
    }
    return 0;
  }
  Http2Stream* stream = stream_of(raw, frame->hd.stream_id);
  if (stream == nullptr) {
    return 0;
  }
  if (frame->hd.type == NGHTTP2_HEADERS) {
    headers_complete(session, *stream, *frame);
  }
  const bool carries_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
  if (carries_end && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
    stream->peer_ended_ = true;
    if (stream->handler_) {
      stream->handler_->on_end();
    }
  }
  return 0;
}

int Http2Callbacks::on_begin_frame(nghttp2_session*, const nghttp2_frame_hd* head, void* user) {
  const bool empty_data =
      head->type == NGHTTP2_DATA && head->length == 0 && (head->flags & NGHTTP2_FLAG_END_STREAM) == 0;
  const bool control =
      head->type == NGHTTP2_PING || head->type == NGHTTP2_SETTINGS || head->type == NGHTTP2_PRIORITY;
  if ((empty_data || control) && session_of(user).floods()) {
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  }
  return 0;
}

int Http2Callbacks::on_data(nghttp2_session* raw, std::uint8_t, std::int32_t id, const std::uint8_t* data,
                            std::size_t size, void*) {
  Http2Stream* stream = stream_of(raw, id);
  if (stream == nullptr || !stream->handler_) {
    nghttp2_session_consume(raw, id, size);
    return 0;
  }
  stream->unconsumed_ += size;
  stream->handler_->on_data(view(data, size));
  return 0;
}

int Http2Callbacks::on_close(nghttp2_session* raw, std::int32_t id, std::uint32_t error, void* user) {
  if (Http2Stream* stream = stream_of(raw, id)) {
    session_of(user).close(*stream, error == NGHTTP2_NO_ERROR && stream->peer_ended_);
  }
  return 0;
}

// --- what leaves

int Http2Callbacks::on_frame_sent(nghttp2_session* raw, const nghttp2_frame* frame, void*) {
  const bool carries_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
  if (carries_end && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
    if (Http2Stream* stream = stream_of(raw, frame->hd.stream_id)) {
      stream->end_sent_ = true;
      if (stream->rest_refused_) {
        stream->refuse_rest();
      }
    }
  }
  return 0;
}

ssize_t Http2Callbacks::on_send(nghttp2_session*, const std::uint8_t* data, std::size_t size, int,
                                void* user) {
  Http2Session& session = session_of(user);
  if (session.out_->size() >= session.out_limit_) {
    return NGHTTP2_ERR_WOULDBLOCK;
  }
  session.out_->append(view(data, size));
  return static_cast<ssize_t>(size);
}

ssize_t Http2Callbacks::read_body(nghttp2_session* raw, std::int32_t id, std::uint8_t*, std::size_t size,
                                  std::uint32_t* flags, nghttp2_data_source* source, void*) {
  auto& stream = *static_cast<Http2Stream*>(source->ptr);
  if (stream.handler_) {
    stream.handler_->on_sending();
  }
  const std::size_t ready = std::min(size, stream.queued());
  const bool at_end = stream.ended_ && ready == stream.queued();
  if (ready == 0 && !at_end) {
    stream.deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (at_end) {
    stream.end_taken_ = true;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream.has_trailers_out_) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      Http2Fields fields;
      fields.add_all(stream.trailers_out_);
      const auto names = fields.build();
      nghttp2_submit_trailer(raw, id, names.data(), names.size());
    }
  }
  return static_cast<ssize_t>(ready);
}

int Http2Callbacks::send_body(nghttp2_session*, nghttp2_frame*, const std::uint8_t* head, std::size_t size,
                              nghttp2_data_source* source, void* user) {
  Http2Session& session = session_of(user);
  if (session.out_->size() >= session.out_limit_) {
    return NGHTTP2_ERR_WOULDBLOCK;
  }
  auto& stream = *static_cast<Http2Stream*>(source->ptr);
  session.out_->append(view(head, 9));
  stream.out_.move_to(*session.out_, size);
  const bool fell = stream.above_mark_ && stream.queued() < Http2Stream::kLowMark;
  if ((fell || stream.queued() == 0) && stream.handler_) {
    stream.above_mark_ = false;
    stream.handler_->on_drained();
  }
  return 0;
}

}  // namespace llmd::http
