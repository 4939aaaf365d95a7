#include "engine/kernels/kernels.h"

namespace llmd::engine {

const Kernels& kernels_for(InstructionSet set) {
  switch (set) {
    case InstructionSet::Avx512:
      return kAvx512Kernels;
    case InstructionSet::Avx2:
      return kAvx2Kernels;
    case InstructionSet::Scalar:
      break;
  }
  return kScalarKernels;
}

}  // namespace llmd::engine
