// gRPC messages in a byte stream: one byte "compressed", four bytes length (big-endian), the message. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace llmd::http {

// Takes messages out of bytes that arrive in pieces of any size. A message that lies in one piece is not
// copied.
//   deframer.feed(bytes);
//   while (true) { LLMD_TRY(auto message, deframer.next()); if (!message) break; use(*message); }
class GrpcDeframer {
 public:
  explicit GrpcDeframer(std::size_t max_message_bytes) : limit_(max_message_bytes) {}

  // The bytes must live until next() has returned nullopt, and all messages of the piece before must be
  // taken.
  void feed(std::string_view bytes) { input_ = bytes; }
  // The next message, valid until the next call; nullopt: give more. Errors: too large (ResourceExhausted),
  // compressed, which nobody has agreed to (Unimplemented), neither 0 nor 1 (Internal); then the stream is
  // over.
  Result<std::optional<std::string_view>> next();
  // Takes over the memory of the message that next() gave last: its view lives as long as what is returned.
  // Null: it lies in the bytes that were fed, or is tiny.
  std::shared_ptr<const void> keep();
  // The stream may end here.
  bool at_boundary() const { return pending_.empty() && input_.empty(); }

 private:
  Result<std::size_t> length_of(std::string_view head) const;
  Result<std::optional<std::string_view>> complete_pending();

  std::size_t limit_;
  std::string_view input_;
  std::string pending_;  // the beginning of a message, with its head
  bool handed_out_ = false;
};

inline constexpr std::size_t kGrpcHeadBytes = 5;
std::array<char, kGrpcHeadBytes> grpc_head(std::size_t message_bytes);

}  // namespace llmd::http
