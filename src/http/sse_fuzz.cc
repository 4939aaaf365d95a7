// Server-sent events: the same events however the bytes are split.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "http/sse.h"

namespace {

std::string transcript(std::string_view bytes, std::size_t step) {
  llmd::http::SseParser parser(1000);
  std::string seen;
  while (!bytes.empty()) {
    const auto events = parser.feed(bytes.substr(0, step));
    if (!events) {
      return "refused";
    }
    for (const auto& event : *events) {
      seen += "[" + event.event + "|" + event.id + "|" + event.data + "]";
    }
    bytes.remove_prefix(std::min(step, bytes.size()));
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string whole = transcript(bytes, 1);
  const std::string split = transcript(bytes, size == 0 ? 1 : 1 + data[size - 1] % 7);
  // The limit on unfinished bytes may strike earlier in larger steps; what both accept must agree.
  if (whole != "refused" && split != "refused" && whole != split) {
    std::abort();
  }
  return 0;
}
