// Token counts out of the end of an answer, without reading the rest. Pure.
#pragma once

#include <string_view>

#include "picker/request.h"

namespace llmd::gateway {

// The last "usage" object of the text, in the words of chat and completions (prompt_tokens,
// completion_tokens) or of responses and messages (input_tokens, output_tokens). Whole or the end of a whole
// answer.
picker::Usage usage_in(std::string_view tail);

}  // namespace llmd::gateway
