// Recursive descent over the tokens, with Jinja's precedences.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja_ast.h"
#include "text/jinja_lexer.h"

namespace llmd::text::jinja {

class TokenReader {
 public:
  explicit TokenReader(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& peek(std::size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  const Token& next() { return at_ + 1 < tokens_.size() ? tokens_[at_++] : tokens_.back(); }
  bool is(Token::Kind kind) const { return peek().kind == kind; }
  bool is_operator(std::string_view text) const { return is(Token::Kind::Operator) && peek().text == text; }
  bool is_name(std::string_view text) const { return is(Token::Kind::Name) && peek().text == text; }
  bool skip_operator(std::string_view text) { return is_operator(text) && (next(), true); }
  bool skip_name(std::string_view text) { return is_name(text) && (next(), true); }
  void expect_operator(std::string_view text);
  void expect_name(std::string_view text);
  std::string name();  // any name
  void expect(Token::Kind kind, std::string_view description);
  [[noreturn]] void unexpected(std::string_view wanted) const;
  int line() const { return peek().line; }

 private:
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenReader& tokens) : tokens_(tokens) {}

  ExpressionPtr expression();  // with `x if y else z`
  ExpressionPtr expression_without_if();
  ExpressionPtr tuple(bool with_conditional = true);  // one expression, or a tuple without parentheses
  ExpressionPtr target();                             // of set and for
  ExpressionPtr filters(ExpressionPtr subject);       // `| a | b`, `is c`
  ExpressionPtr filter_chain();                       // `a | b` without a subject, for filter blocks
  ExpressionPtr unary(bool with_filters = true);

  // Were these names used since somebody last cleared the flags? Macros take surplus arguments only then.
  bool saw_varargs = false;
  bool saw_kwargs = false;

 private:
  ExpressionPtr disjunction();
  ExpressionPtr conjunction();
  ExpressionPtr negation();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr concatenation();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr primary();
  ExpressionPtr parenthesized();
  ExpressionPtr list_display();
  ExpressionPtr dict_display();
  ExpressionPtr postfix(ExpressionPtr node);
  ExpressionPtr attribute(ExpressionPtr node);
  ExpressionPtr subscript(ExpressionPtr node);
  ExpressionPtr filter(ExpressionPtr node);
  ExpressionPtr test(ExpressionPtr node);
  void arguments(Expression& node);
  std::string dotted_name();

  TokenReader& tokens_;
  int nesting_ = 0;
};

// Throws SyntaxFailure.
std::shared_ptr<const Program> parse_program(std::string_view source, const JinjaOptions& options);

}  // namespace llmd::text::jinja
