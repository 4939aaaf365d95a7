// Regular expressions as grammars: alternatives, groups, classes, quantifiers, the escapes \d \w \s and their
// opposites. Matches the whole text; anchors are allowed where they change nothing. What a grammar cannot say
// (look-around, back references, word borders) is InvalidArgument.
#pragma once

#include <string_view>

#include "base/result.h"
#include "engine/grammar/grammar.h"

namespace llmd::engine {

// `among`: ASCII characters that may occur at all (within a JSON string: no quotes, no backslashes).
Result<GrammarBuilder::Piece> regex_piece(GrammarBuilder& builder, std::string_view pattern,
                                          const ByteSet& among = byte_range(0, 127));

}  // namespace llmd::engine
