// Splits a Go template into text and the tokens of its actions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/go_template_nodes.h"

namespace llmd::text::go {

enum class TokenKind {
  Text,      // literal text outside of actions
  Open,      // {{
  Close,     // }}
  Field,     // .Name, without the dot; an empty text is the dot alone
  Variable,  // $name, without the dollar; may be empty
  Name,      // function or keyword
  String,    // unescaped
  Number,
  Pipe,
  LeftParen,
  RightParen,
  Declare,  // :=
  Assign,   // =
  Comma,
  End,
};

struct Token {
  TokenKind kind = TokenKind::End;
  std::string text;
  Position position;
  bool after_space = false;  // `.a .b` are two operands, `.a.b` is one
};

Result<std::vector<Token>> tokenize(std::string_view text);

Error error_at(const Position& position, std::string_view message);

}  // namespace llmd::text::go
