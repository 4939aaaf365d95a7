// Any bytes: an error or a file whose tensors lie in the bytes.
#include <cstdint>
#include <cstdlib>

#include "modelfile/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto file = llmd::modelfile::GgufFile::parse(bytes, "fuzz");
  if (file) {
    unsigned sum = 0;
    for (const auto& [name, tensor] : file->tensors()) {
      for (const std::byte byte : tensor.bytes) {
        sum += std::to_integer<unsigned>(byte);
      }
    }
    for (const auto& [key, value] : file->values()) {
      sum += static_cast<unsigned>(value.index() + key.size());
    }
    [[maybe_unused]] static volatile unsigned sink;
    sink = sum;
  }
  return 0;
}
