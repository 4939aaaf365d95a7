// Any bytes: an error or tensors that lie in the bytes.
#include <cstdint>
#include <cstdlib>

#include "modelfile/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto tensors = llmd::modelfile::parse_safetensors(bytes);
  if (tensors) {
    unsigned sum = 0;
    for (const auto& [name, tensor] : *tensors) {
      for (const std::byte byte : tensor.bytes) {
        sum += std::to_integer<unsigned>(byte);
      }
    }
    [[maybe_unused]] static volatile unsigned sink;
    sink = sum;
  }
  return 0;
}
