// The frames around a KV event batch: sequence numbers, and the layouts of the replay protocol
// (event_subscriber.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace llmd::kvcache {

// The end of a replay.
inline constexpr std::uint64_t kReplayEnd = ~std::uint64_t{0};

inline std::string sequence_frame(std::uint64_t sequence) {
  std::string frame(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) {
    frame[i] = static_cast<char>(sequence >> (56 - 8 * i));
  }
  return frame;
}

inline std::optional<std::uint64_t> parse_sequence(std::string_view frame) {
  if (frame.size() < 8) {
    return std::nullopt;
  }
  std::uint64_t sequence = 0;
  for (const char c : frame.substr(0, 8)) {
    sequence = sequence << 8 | static_cast<unsigned char>(c);
  }
  return sequence;
}

}  // namespace llmd::kvcache
