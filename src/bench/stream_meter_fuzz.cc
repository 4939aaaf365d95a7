// However a stream is cut into pieces, the same events are counted.
#include <cstdint>

#include "base/assert.h"
#include "bench/stream_meter.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace llmd;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  bench::StreamMeter whole;
  const int events = whole.feed(text);
  bench::StreamMeter pieces;
  int counted = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = 1 + data[at] % 7;
    counted += pieces.feed(text.substr(at, length));
    at += length;
  }
  LLMD_ASSERT(counted == events, "pieces have the events of the whole");
  LLMD_ASSERT(pieces.done() == whole.done() && pieces.error() == whole.error(), "and end alike");
  return 0;
}
