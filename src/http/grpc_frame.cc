#include "http/grpc_frame.h"

#include <algorithm>
#include <utility>

namespace llmd::http {

std::array<char, kGrpcHeadBytes> grpc_head(std::size_t message_bytes) {
  const auto size = static_cast<std::uint32_t>(message_bytes);
  return {0, static_cast<char>(size >> 24), static_cast<char>(size >> 16), static_cast<char>(size >> 8),
          static_cast<char>(size)};
}

Result<std::size_t> GrpcDeframer::length_of(std::string_view head) const {
  if (head[0] == 1) {
    return unimplemented("compressed messages are not supported");
  }
  if (head[0] != 0) {
    return internal_error("not a gRPC message: its first byte is {}", static_cast<unsigned char>(head[0]));
  }
  std::size_t size = 0;
  for (std::size_t i = 1; i < kGrpcHeadBytes; ++i) {
    size = size << 8 | static_cast<unsigned char>(head[i]);
  }
  if (size > limit_) {
    return resource_exhausted("a message of {} bytes; at most {} are accepted", size, limit_);
  }
  return size;
}

Result<std::optional<std::string_view>> GrpcDeframer::next() {
  if (handed_out_) {
    pending_.clear();
    handed_out_ = false;
    if (pending_.capacity() > 1024 * 1024) {
      pending_.shrink_to_fit();
    }
  }
  if (!pending_.empty()) {
    return complete_pending();
  }
  if (input_.size() >= kGrpcHeadBytes) {
    LLMD_TRY(const std::size_t size, length_of(input_));
    if (input_.size() - kGrpcHeadBytes >= size) {
      const std::string_view message = input_.substr(kGrpcHeadBytes, size);
      input_.remove_prefix(kGrpcHeadBytes + size);
      return message;
    }
    pending_.reserve(std::min(kGrpcHeadBytes + size, std::size_t{1024 * 1024}));
  }
  pending_ = input_;
  input_ = {};
  return std::nullopt;
}

std::shared_ptr<const void> GrpcDeframer::keep() {
  constexpr std::size_t kTiny =
      64;  // a string may hold so little within itself, and then the view would move
  if (!handed_out_ || pending_.size() < kTiny) {
    return nullptr;
  }
  handed_out_ = false;
  return std::make_shared<const std::string>(std::exchange(pending_, std::string()));
}

Result<std::optional<std::string_view>> GrpcDeframer::complete_pending() {
  const auto fill = [this](std::size_t wanted) {
    const std::size_t size = std::min(wanted - std::min(wanted, pending_.size()), input_.size());
    pending_ += input_.substr(0, size);
    input_.remove_prefix(size);
    return pending_.size() >= wanted;
  };
  if (!fill(kGrpcHeadBytes)) {
    return std::nullopt;
  }
  LLMD_TRY(const std::size_t size, length_of(pending_));
  if (!fill(kGrpcHeadBytes + size)) {
    return std::nullopt;
  }
  handed_out_ = true;
  return std::string_view(pending_).substr(kGrpcHeadBytes);
}

}  // namespace llmd::http
