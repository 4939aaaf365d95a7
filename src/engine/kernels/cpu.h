// Which instruction set the kernels use, decided once per process.
#pragma once

#include <string_view>

#include "base/result.h"

namespace llmd::engine {

enum class InstructionSet { Scalar, Avx2, Avx512, Amx };

std::string_view to_string(InstructionSet set);  // "scalar", "avx2", "avx512-vnni", "amx-bf16"
// By this processor and operating system. Asking for Amx obtains the kernel's permission to use it, for the
// whole process.
bool supported(InstructionSet set);

// The best supported set, or the one that LLMD_KERNELS=scalar|avx2|avx512|amx asks for; an error when that is
// not supported or not a name.
Result<InstructionSet> choose_instruction_set();

}  // namespace llmd::engine
