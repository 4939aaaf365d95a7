#include "engine/kernels/kernels.h"

namespace llmd::engine {
namespace {

Kernels with_amx() {
  Kernels kernels = kAvx512Kernels;
  kernels.set = InstructionSet::Amx;
  kernels.gemm = amx_gemm;
  return kernels;
}

}  // namespace

const Kernels& kernels_for(InstructionSet set) {
  switch (set) {
    case InstructionSet::Amx: {
      static const Kernels kernels = with_amx();
      return kernels;
    }
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
