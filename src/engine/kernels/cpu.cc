#include "engine/kernels/cpu.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>

namespace llmd::engine {
namespace {

// Linux hands out the 8 KiB of tile registers only to processes that ask (arch/x86/xstate.rst in its
// documentation). Refused where a filter forbids the call or a signal stack is too small for them.
bool tile_data_permitted() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

std::string_view to_string(InstructionSet set) {
  switch (set) {
    case InstructionSet::Scalar:
      return "scalar";
    case InstructionSet::Avx2:
      return "avx2";
    case InstructionSet::Avx512:
      return "avx512-vnni";
    case InstructionSet::Amx:
      return "amx-bf16";
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
    case InstructionSet::Amx: {
      static const bool usable = supported(InstructionSet::Avx512) &&
                                 __builtin_cpu_supports("amx-tile") != 0 &&
                                 __builtin_cpu_supports("amx-bf16") != 0 && tile_data_permitted();
      return usable;
    }
  }
  return false;
}

Result<InstructionSet> choose_instruction_set() {
  const char* const variable = std::getenv("LLMD_KERNELS");
  if (variable == nullptr || *variable == '\0') {
    for (const auto set : {InstructionSet::Amx, InstructionSet::Avx512, InstructionSet::Avx2}) {
      if (supported(set)) {
        return set;
      }
    }
    return InstructionSet::Scalar;
  }
  const std::string_view wanted = variable;
  InstructionSet set = InstructionSet::Scalar;
  if (wanted == "amx") {
    set = InstructionSet::Amx;
  } else if (wanted == "avx512") {
    set = InstructionSet::Avx512;
  } else if (wanted == "avx2") {
    set = InstructionSet::Avx2;
  } else if (wanted != "scalar") {
    return invalid_argument("LLMD_KERNELS: {}: expected scalar, avx2, avx512 or amx", wanted);
  }
  if (!supported(set)) {
    return failed_precondition("LLMD_KERNELS: {} is not available here", to_string(set));
  }
  return set;
}

}  // namespace llmd::engine
