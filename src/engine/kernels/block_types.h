// A kernel is compiled for each type of weights; here the type of a call chooses among them (see lanes.h for
// the rules).
#pragma once

#include "engine/kernels/lanes.h"
#include "modelfile/tensor.h"

namespace llmd::engine {
namespace {

// Calls body<type>(). False: these weights are floats, and nothing was called.
template <typename Body>
LLMD_INLINE bool with_block_type(modelfile::TensorType type, Body body) {
  using modelfile::TensorType;
  switch (type) {
    case TensorType::F32:
    case TensorType::F16:
    case TensorType::BF16:
      return false;
    case TensorType::Q4_0:
      body.template operator()<TensorType::Q4_0>();
      return true;
    case TensorType::Q4_1:
      body.template operator()<TensorType::Q4_1>();
      return true;
    case TensorType::Q5_0:
      body.template operator()<TensorType::Q5_0>();
      return true;
    case TensorType::Q5_1:
      body.template operator()<TensorType::Q5_1>();
      return true;
    case TensorType::Q8_0:
      body.template operator()<TensorType::Q8_0>();
      return true;
    case TensorType::Q4_K:
      body.template operator()<TensorType::Q4_K>();
      return true;
    case TensorType::Q5_K:
      body.template operator()<TensorType::Q5_K>();
      return true;
    case TensorType::Q6_K:
      body.template operator()<TensorType::Q6_K>();
      return true;
  }
}

}  // namespace
}  // namespace llmd::engine
