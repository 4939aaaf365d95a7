// Whatever arrives, decoding ends; what was understood survives encoding and decoding in both encodings.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "kvcache/kv_event.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace llmd::kvcache;
  auto batch = decode_events({reinterpret_cast<const char*>(data), size});
  if (!batch) {
    return 0;
  }
  batch->unknown_events = 0;
  batch->bad_events = 0;
  if (batch->timestamp != batch->timestamp) {
    batch->timestamp = 0;  // not a number is not equal to itself
  }
  const auto map = decode_events(encode_events(*batch, EventEncoding::Map));
  if (!map || *map != *batch) {
    std::abort();
  }
  for (auto& event : batch->events) {
    if (auto* const stored = std::get_if<BlockStored>(&event)) {
      stored->cache_salt.clear();  // has no position
    }
  }
  const auto array = decode_events(encode_events(*batch, EventEncoding::Array));
  if (!array || *array != *batch) {
    std::abort();
  }
  return 0;
}
