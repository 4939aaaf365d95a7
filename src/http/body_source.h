// The body bytes of one message, out of a connection's read buffer. Private to http.
#pragma once

#include "http/body_decoder.h"
#include "http/message.h"
#include "http/read_buffer.h"

namespace llmd::http {

class BodySource {
 public:
  explicit BodySource(ReadBuffer& buffer) : buffer_(buffer) {}
  void start(const Framing& framing);

  // All body bytes that have arrived, in one piece: chunks are moved together inside the buffer, so that what
  // came in one packet goes on in one packet. Empty: read more, or done().
  std::expected<std::string_view, Refusal> take();
  bool done() const { return decoder_.done(); }
  // Well-formed fields after a chunked body; null: none.
  const Headers* trailers() const { return trailers_ ? &*trailers_ : nullptr; }
  bool end_of_input() { return decoder_.end_of_input(); }
  std::uint64_t received() const { return decoder_.received(); }
  // Where to read more into, as much as is worth reading at once.
  std::span<char> room();
  // The pieces that take() gives from now on follow each other in memory and stay until the buffer is let go.
  // Counted bodies only; before anything was taken, or after keep().
  bool keep();

 private:
  ReadBuffer& buffer_;
  BodyDecoder decoder_;
  bool counted_ = false;
  std::optional<Refusal> failure_;
  std::optional<Headers> trailers_;
};

}  // namespace llmd::http
