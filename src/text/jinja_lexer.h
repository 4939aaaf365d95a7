// Template text to tokens, with Jinja's whitespace control already applied to the text between tags.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja.h"

namespace llmd::text::jinja {

struct Token {
  enum class Kind {
    Data,
    BlockBegin,
    BlockEnd,
    PrintBegin,
    PrintEnd,
    Name,
    String,
    Integer,
    Float,
    Operator,
    End
  };
  Kind kind;
  std::string text;  // data, name, decoded string, digits or operator
  int line;
};

// Throws SyntaxFailure.
std::vector<Token> tokenize(std::string_view source, const JinjaOptions& options);

struct SyntaxFailure {
  std::string message;
  int line;
};

}  // namespace llmd::text::jinja
