// Numbers of ProcessingRequest's fields that both sides of ext_proc use. Private to envoy.
#pragma once

#include <cstdint>

namespace llmd::envoy {

inline constexpr std::uint32_t kMetadataContext = 8;
inline constexpr std::uint32_t kProtocolConfig = 11;

}  // namespace llmd::envoy
