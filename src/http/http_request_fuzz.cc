// Requests as a server reads them. However the bytes are split, the outcome is the same, and nothing is read
// past.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "http/message_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace llmd::http;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string whole = transcript_of_requests(bytes, bytes.size() + 1);
  const std::size_t step = size == 0 ? 1 : 1 + data[size - 1] % 7;
  if (transcript_of_requests(bytes, step) != whole) {
    std::abort();
  }
  return 0;
}
