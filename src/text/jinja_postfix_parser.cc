// What follows an operand: attributes, indexes, calls, filters and tests; and the targets of assignments.
#include "text/jinja_nodes.h"
#include "text/jinja_parser.h"

namespace llmd::text::jinja {

ExpressionPtr ExpressionParser::target() {
  const auto element = [&]() -> ExpressionPtr {
    const Nesting nesting(nesting_, tokens_.line());
    if (tokens_.skip_operator("(")) {
      auto inner = target();
      tokens_.expect_operator(")");
      return inner;
    }
    const int line = tokens_.line();
    auto node = make(ExprKind::Name, line, tokens_.name());
    if (!tokens_.skip_operator("."))
      return node;
    return adopt(make(ExprKind::Attribute, line, tokens_.name()), std::move(node));
  };
  auto first = element();
  if (!tokens_.is_operator(","))
    return first;
  auto node = adopt(make(ExprKind::Tuple, first->line), std::move(first));
  while (tokens_.skip_operator(",")) {
    if (!(tokens_.is(Token::Kind::Name) || tokens_.is_operator("(")) || tokens_.is_name("in"))
      break;
    node = adopt(std::move(node), element());
  }
  return node;
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr node) {
  for (;;) {
    if (tokens_.is_operator(".")) {
      node = attribute(std::move(node));
    } else if (tokens_.is_operator("[")) {
      node = subscript(std::move(node));
    } else if (tokens_.is_operator("(")) {
      auto call = adopt(make(ExprKind::Call, node->line), std::move(node));
      arguments(*call);
      node = std::move(call);
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::attribute(ExpressionPtr node) {
  const int line = tokens_.next().line;
  if (tokens_.is(Token::Kind::Integer)) {
    auto element = adopt(make(ExprKind::Subscript, line), std::move(node));
    return adopt(std::move(element), number(tokens_.next()));
  }
  auto result = make(ExprKind::Attribute, line, tokens_.name());
  return adopt(std::move(result), std::move(node));
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr node) {
  const int line = tokens_.next().line;
  ExpressionPtr parts[3];
  bool is_slice = false;
  std::size_t part = 0;
  while (!tokens_.is_operator("]")) {
    if (tokens_.skip_operator(":")) {
      is_slice = true;
      if (++part > 2)
        tokens_.unexpected("']'");
    } else if (parts[part]) {
      tokens_.unexpected("']'");
    } else {
      parts[part] = tuple();
    }
  }
  tokens_.next();
  if (!is_slice && !parts[0])
    throw SyntaxFailure{"an index is missing between '[' and ']'", line};
  auto result = adopt(make(is_slice ? ExprKind::Slice : ExprKind::Subscript, line), std::move(node));
  result = adopt(std::move(result), std::move(parts[0]));
  if (!is_slice)
    return result;
  result = adopt(std::move(result), std::move(parts[1]));
  return adopt(std::move(result), std::move(parts[2]));
}

void ExpressionParser::arguments(Expression& node) {
  const Nesting nesting(nesting_, tokens_.line());
  tokens_.expect_operator("(");
  bool first = true;
  while (!tokens_.skip_operator(")")) {
    if (!std::exchange(first, false)) {
      tokens_.expect_operator(",");
      if (tokens_.skip_operator(")"))
        break;
    }
    const bool is_keyword = tokens_.is(Token::Kind::Name) && tokens_.peek(1).kind == Token::Kind::Operator &&
                            tokens_.peek(1).text == "=";
    if (!is_keyword && !node.keywords.empty())
      tokens_.unexpected("a keyword argument");
    std::string name;
    if (is_keyword) {
      name = tokens_.name();
      tokens_.next();
    }
    auto value = expression();
    node.depth = std::max(node.depth, value->depth + 1);
    if (is_keyword) {
      node.keywords.emplace_back(std::move(name), std::move(value));
    } else {
      node.children.push_back(std::move(value));
    }
  }
  if (node.depth > kMaxExpressionDepth)
    throw SyntaxFailure{"the expression is nested too deeply", node.line};
}

std::string ExpressionParser::dotted_name() {
  auto name = tokens_.name();
  while (tokens_.skip_operator("."))
    name += "." + tokens_.name();
  return name;
}

ExpressionPtr ExpressionParser::filters(ExpressionPtr node) {
  for (;;) {
    if (tokens_.is_operator("|")) {
      tokens_.next();
      node = filter(std::move(node));
    } else if (tokens_.is_name("is")) {
      node = test(std::move(node));
    } else if (tokens_.is_operator("(")) {
      auto call = adopt(make(ExprKind::Call, node->line), std::move(node));
      arguments(*call);
      node = std::move(call);
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::filter(ExpressionPtr node) {
  const int line = tokens_.line();
  auto result = make(ExprKind::Filter, line, dotted_name());
  result = adopt(std::move(result), std::move(node));
  if (tokens_.is_operator("("))
    arguments(*result);
  return result;
}

ExpressionPtr ExpressionParser::filter_chain() {
  auto node = filter(nullptr);
  while (tokens_.skip_operator("|"))
    node = filter(std::move(node));
  return node;
}

ExpressionPtr ExpressionParser::test(ExpressionPtr node) {
  const int line = tokens_.next().line;
  const bool negated = tokens_.skip_name("not");
  auto result = adopt(make(ExprKind::Test, line, dotted_name()), std::move(node));
  const bool ends = tokens_.is_name("else") || tokens_.is_name("or") || tokens_.is_name("and");
  const bool starts_argument = tokens_.is(Token::Kind::Name) || tokens_.is(Token::Kind::String) ||
                               tokens_.is(Token::Kind::Integer) || tokens_.is(Token::Kind::Float) ||
                               tokens_.is_operator("[") || tokens_.is_operator("{");
  if (tokens_.is_operator("(")) {
    arguments(*result);
  } else if (starts_argument && !ends) {
    // Jinja lets a test take one argument without parentheses: `x is divisibleby 3`.
    if (tokens_.is_name("is"))
      tokens_.unexpected("no second test");
    result = adopt(std::move(result), postfix(primary()));
  }
  return negated ? adopt(make(ExprKind::Unary, line, "not"), std::move(result)) : std::move(result);
}

}  // namespace llmd::text::jinja
