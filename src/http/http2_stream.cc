#include "http/http2_stream.h"

#include <nghttp2/nghttp2.h>

#include "http/http2_callbacks.h"
#include "http/http2_fields.h"

namespace llmd::http {

void Http2Stream::respond(const ResponseHead& head, bool end_here) {
  Http2Fields fields;
  fields.add(":status", std::to_string(head.status));
  fields.add_all(head.headers);
  const auto names = fields.build();
  ended_ = end_taken_ = end_here;
  nghttp2_data_provider body = Http2Callbacks::body_of(*this);
  nghttp2_submit_response(session_.session_, id_, names.data(), names.size(), end_here ? nullptr : &body);
}

void Http2Stream::send_continue() {
  Http2Fields fields;
  fields.add(":status", "100");
  const auto names = fields.build();
  nghttp2_submit_headers(session_.session_, NGHTTP2_FLAG_NONE, id_, nullptr, names.data(), names.size(),
                         nullptr);
}

void Http2Stream::send(KeptBytes piece) {
  if (ended_) {
    return;
  }
  out_.add(std::move(piece));
  above_mark_ = above_mark_ || queued() >= kLowMark;
  wake();
}

void Http2Stream::send_later() {
  if (!ended_) {
    wake();
  }
}

void Http2Stream::end() {
  if (!ended_) {
    ended_ = true;
    wake();
  }
}

void Http2Stream::end(Headers trailers) {
  if (!ended_) {
    trailers_out_ = std::move(trailers);
    has_trailers_out_ = true;
    end();
  }
}

void Http2Stream::wake() {
  if (deferred_) {
    deferred_ = false;
    nghttp2_session_resume_data(session_.session_, id_);
  }
}

void Http2Stream::reset(Http2Error error) {
  nghttp2_submit_rst_stream(session_.session_, NGHTTP2_FLAG_NONE, id_, static_cast<std::uint32_t>(error));
}

void Http2Stream::refuse_rest() {
  rest_refused_ = true;
  if (end_sent_ && !peer_ended_) {
    reset(Http2Error::None);
  }
}

void Http2Stream::consumed(std::size_t bytes) {
  unconsumed_ -= std::min(unconsumed_, bytes);
  nghttp2_session_consume(session_.session_, id_, bytes);
}

void Http2Stream::flush() {
  if (!session_.feeding_ && session_.flush_) {
    session_.flush_();
  }
}

}  // namespace llmd::http
