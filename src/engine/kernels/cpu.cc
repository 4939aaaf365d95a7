#include "engine/kernels/cpu.h"

#include <cstdlib>

namespace llmd::engine {

std::string_view to_string(InstructionSet set) {
  switch (set) {
    case InstructionSet::Scalar:
      return "scalar";
    case InstructionSet::Avx2:
      return "avx2";
    case InstructionSet::Avx512:
      return "avx512-vnni";
  }
  return "unknown";
}

bool supported(InstructionSet set) {
  switch (set) {
    case InstructionSet::Scalar:
      return true;
    case InstructionSet::Avx2:
      return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0 &&
             __builtin_cpu_supports("f16c") != 0;
    case InstructionSet::Avx512:
      return supported(InstructionSet::Avx2) && __builtin_cpu_supports("avx512f") != 0 &&
             __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
             __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vnni") != 0;
  }
  return false;
}

Result<InstructionSet> choose_instruction_set() {
  const char* const variable = std::getenv("LLMD_KERNELS");
  if (variable == nullptr || *variable == '\0') {
    for (const auto set : {InstructionSet::Avx512, InstructionSet::Avx2}) {
      if (supported(set)) {
        return set;
      }
    }
    return InstructionSet::Scalar;
  }
  const std::string_view wanted = variable;
  InstructionSet set = InstructionSet::Scalar;
  if (wanted == "avx512") {
    set = InstructionSet::Avx512;
  } else if (wanted == "avx2") {
    set = InstructionSet::Avx2;
  } else if (wanted != "scalar") {
    return invalid_argument("LLMD_KERNELS: {}: expected scalar, avx2 or avx512", wanted);
  }
  if (!supported(set)) {
    return failed_precondition("LLMD_KERNELS: this processor has no {}", to_string(set));
  }
  return set;
}

}  // namespace llmd::engine
