// golden.json: greedy continuations as an independent oracle for an inference engine.
#pragma once

#include <span>
#include <string>

#include "train_tiny/parameters.h"

namespace llmd::train_tiny {

// `shouting` are the base weights with the adapter merged in (in float32).
std::string golden_json(const Shape& shape, std::span<const float> base, std::span<const float> shouting);

}  // namespace llmd::train_tiny
