// gRPC frames: however the bytes are split, the messages and the refusal are the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "http/grpc_frame.h"

namespace {

std::string transcript(std::string_view bytes, std::size_t step) {
  llmd::http::GrpcDeframer deframer(4096);
  std::string out;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    deframer.feed(bytes.substr(at, step));
    while (true) {
      const auto message = deframer.next();
      if (!message) {
        return out + "!" + message.error().message;
      }
      if (!*message) {
        break;
      }
      out += std::to_string((*message)->size()) + ":" + std::string(**message) + "\n";
    }
  }
  return out + (deframer.at_boundary() ? "." : "?");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::size_t step = size == 0 ? 1 : 1 + data[size - 1] % 7;
  if (transcript(bytes, bytes.size() + 1) != transcript(bytes, step)) {
    std::abort();
  }
  return 0;
}
