// Parts of tokenizer.json. The field accessors are lenient: absent, null or of another type gives the
// fallback.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "json/value.h"
#include "tokenizer/pipeline.h"

namespace llmd::tokenizer {

std::string_view string_field(const json::Object& object, std::string_view name);
std::int64_t integer_field(const json::Object& object, std::string_view name, std::int64_t fallback);
bool bool_field(const json::Object& object, std::string_view name, bool fallback);
const json::Object* object_field(const json::Object& object, std::string_view name);
const json::Array& array_field(const json::Object& object, std::string_view name);  // empty when absent

// Reads "normalizer" and "pre_tokenizer" of the root. True when the pipeline ends in the byte alphabet.
Result<bool> build_pipeline(const json::Object& root, Normalizer& normalizer, PreTokenizer& pre_tokenizer);

}  // namespace llmd::tokenizer
