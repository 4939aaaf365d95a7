// What nghttp2 calls. Private to http.
#pragma once

#include <nghttp2/nghttp2.h>

#include <memory>

#include "http/http2_session.h"

namespace llmd::http {

struct Http2Callbacks {
  static std::unique_ptr<nghttp2_session_callbacks, void (*)(nghttp2_session_callbacks*)> make();
  // The source of a stream's outgoing body.
  static nghttp2_data_provider body_of(Http2Stream& stream);

  static int on_begin_headers(nghttp2_session*, const nghttp2_frame*, void*);
  static int on_header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t*, std::size_t,
                       const std::uint8_t*, std::size_t, std::uint8_t, void*);
  static int on_frame(nghttp2_session*, const nghttp2_frame*, void*);
  static int on_frame_sent(nghttp2_session*, const nghttp2_frame*, void*);
  static int on_begin_frame(nghttp2_session*, const nghttp2_frame_hd*, void*);
  static int on_data(nghttp2_session*, std::uint8_t, std::int32_t, const std::uint8_t*, std::size_t, void*);
  static int on_close(nghttp2_session*, std::int32_t, std::uint32_t, void*);
  static ssize_t on_send(nghttp2_session*, const std::uint8_t*, std::size_t, int, void*);
  static ssize_t read_body(nghttp2_session*, std::int32_t, std::uint8_t*, std::size_t, std::uint32_t*,
                           nghttp2_data_source*, void*);
  static int send_body(nghttp2_session*, nghttp2_frame*, const std::uint8_t*, std::size_t,
                       nghttp2_data_source*, void*);

 private:
  static void headers_complete(Http2Session& session, Http2Stream& stream, const nghttp2_frame& frame);
  static void add_request_field(Http2Stream& stream, std::string_view name, std::string_view value);
};

}  // namespace llmd::http
