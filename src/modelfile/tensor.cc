#include "modelfile/tensor.h"

#include <array>

namespace llmd::modelfile {
namespace {

struct TypeFacts {
  std::string_view name;
  int elements;
  int bytes;
};

// In the order of the enumerators.
constexpr std::array<TypeFacts, 11> kFacts{{{"F32", 1, 4},
                                            {"F16", 1, 2},
                                            {"BF16", 1, 2},
                                            {"Q4_0", 32, 18},
                                            {"Q4_1", 32, 20},
                                            {"Q5_0", 32, 22},
                                            {"Q5_1", 32, 24},
                                            {"Q8_0", 32, 34},
                                            {"Q4_K", 256, 144},
                                            {"Q5_K", 256, 176},
                                            {"Q6_K", 256, 210}}};

const TypeFacts& facts(TensorType type) {
  return kFacts.at(static_cast<std::size_t>(type));
}

}  // namespace

std::string_view to_string(TensorType type) {
  return facts(type).name;
}
int block_elements(TensorType type) {
  return facts(type).elements;
}
int block_bytes(TensorType type) {
  return facts(type).bytes;
}

Result<std::uint64_t> tensor_bytes(TensorType type, std::span<const std::int64_t> shape) {
  std::uint64_t elements = 1;
  for (const std::int64_t extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(elements, static_cast<std::uint64_t>(extent), &elements)) {
      return data_loss("impossible dimension {}", extent);
    }
  }
  const auto block = static_cast<std::uint64_t>(block_elements(type));
  const std::uint64_t row = shape.empty() ? 1 : static_cast<std::uint64_t>(shape.back());
  if (row % block != 0) {
    return data_loss("rows of {} elements are no whole number of {} blocks of {}", row, to_string(type),
                     block);
  }
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(elements / block, static_cast<std::uint64_t>(block_bytes(type)), &bytes)) {
    return data_loss("too many elements: {}", elements);
  }
  return bytes;
}

}  // namespace llmd::modelfile
