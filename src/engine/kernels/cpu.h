// Which instruction set the kernels use, decided once per process.
#pragma once

#include <string_view>

#include "base/result.h"

namespace llmd::engine {

enum class InstructionSet { Scalar, Avx2, Avx512 };

std::string_view to_string(InstructionSet set);  // "scalar", "avx2", "avx512-vnni"
bool supported(InstructionSet set);              // by this processor and operating system

// The best supported set, or the one that LLMD_KERNELS=scalar|avx2|avx512 asks for; an error when that is not
// supported or not a name.
Result<InstructionSet> choose_instruction_set();

}  // namespace llmd::engine
