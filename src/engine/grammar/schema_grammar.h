// JSON schemas as grammars. Understood: type (also a list), properties, required, additionalProperties,
// items, prefixItems, minItems, maxItems, enum, const, pattern, minLength, maxLength, anyOf, oneOf, allOf
// with one member, $ref within the document. Members come in the schema's order. Members the schema does not
// name are allowed only where additionalProperties says so, or where it names none. Between tokens stand at
// most a few spaces and newlines: a model cannot lose itself in them.
#pragma once

#include "engine/grammar/grammar.h"
#include "json/value.h"

namespace llmd::engine {

// InvalidArgument with the path of a keyword that is wrong or not understood.
Result<GrammarBuilder::Piece> schema_piece(GrammarBuilder& builder, const json::Value& schema);
// Any JSON object.
GrammarBuilder::Piece json_object_piece(GrammarBuilder& builder);

}  // namespace llmd::engine
