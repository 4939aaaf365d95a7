// Makes nodes of the expression tree, and keeps it shallow enough to walk. For the two expression parser
// files.
#pragma once

#include <algorithm>
#include <charconv>
#include <memory>
#include <string>
#include <utility>

#include "text/jinja_ast.h"
#include "text/jinja_lexer.h"

namespace llmd::text::jinja {

using ExprKind = Expression::Kind;
inline constexpr int kMaxExpressionDepth = 150;  // of the tree; recursion and long operator chains both count

inline int depth_of(const ExpressionPtr& node) {
  return node ? node->depth : 0;
}

inline ExpressionPtr adopt(ExpressionPtr node, ExpressionPtr child) {
  node->depth = std::max(node->depth, depth_of(child) + 1);
  if (node->depth > kMaxExpressionDepth)
    throw SyntaxFailure{"the expression is nested too deeply", node->line};
  node->children.push_back(std::move(child));
  return node;
}

inline ExpressionPtr make(ExprKind kind, int line, std::string name = {}) {
  auto node = std::make_unique<Expression>();
  node->kind = kind;
  node->line = line;
  node->name = std::move(name);
  return node;
}

inline ExpressionPtr binary(std::string name, ExpressionPtr left, ExpressionPtr right) {
  auto node = make(ExprKind::Binary, left->line, std::move(name));
  return adopt(adopt(std::move(node), std::move(left)), std::move(right));
}

inline ExpressionPtr constant(int line, Value value) {
  auto node = make(ExprKind::Constant, line);
  node->value = std::move(value);
  return node;
}

struct Nesting {
  Nesting(int& count, int line) : count_(count) {
    if (++count_ > kMaxExpressionDepth)
      throw SyntaxFailure{"the expression is nested too deeply", line};
  }
  ~Nesting() { --count_; }
  int& count_;
};

inline ExpressionPtr number(const Token& token) {
  const auto* end = token.text.data() + token.text.size();
  if (token.kind == Token::Kind::Integer) {
    std::int64_t integer = 0;
    if (std::from_chars(token.text.data(), end, integer).ec != std::errc()) {
      throw SyntaxFailure{"the number " + token.text + " is too large", token.line};
    }
    return constant(token.line, integer);
  }
  double real = 0;
  std::from_chars(token.text.data(), end, real);
  return constant(token.line, real);
}

}  // namespace llmd::text::jinja
