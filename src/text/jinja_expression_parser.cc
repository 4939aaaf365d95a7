// Operators by precedence, literals and displays.
#include <algorithm>

#include "text/jinja_nodes.h"
#include "text/jinja_parser.h"

namespace llmd::text::jinja {

void TokenReader::unexpected(std::string_view wanted) const {
  const auto& token = peek();
  const auto description = [&]() -> std::string {
    switch (token.kind) {
      case Token::Kind::End:
        return "the end of the template";
      case Token::Kind::BlockEnd:
        return "'%}'";
      case Token::Kind::PrintEnd:
        return "'}}'";
      default:
        return "'" + token.text + "'";
    }
  };
  throw SyntaxFailure{fmt::format("expected {}, got {}", wanted, description()), token.line};
}

void TokenReader::expect_operator(std::string_view text) {
  if (!skip_operator(text))
    unexpected(fmt::format("'{}'", text));
}
void TokenReader::expect_name(std::string_view text) {
  if (!skip_name(text))
    unexpected(fmt::format("'{}'", text));
}
void TokenReader::expect(Token::Kind kind, std::string_view description) {
  if (!is(kind))
    unexpected(description);
  next();
}
std::string TokenReader::name() {
  if (!is(Token::Kind::Name))
    unexpected("a name");
  return next().text;
}

ExpressionPtr ExpressionParser::expression() {
  const Nesting nesting(nesting_, tokens_.line());
  auto node = disjunction();
  while (tokens_.is_name("if")) {
    const int line = tokens_.next().line;
    auto condition = disjunction();
    ExpressionPtr otherwise = tokens_.skip_name("else") ? expression() : nullptr;
    auto choice = adopt(make(ExprKind::Conditional, line), std::move(node));
    node = adopt(adopt(std::move(choice), std::move(condition)), std::move(otherwise));
  }
  return node;
}

ExpressionPtr ExpressionParser::expression_without_if() {
  return disjunction();
}

ExpressionPtr ExpressionParser::disjunction() {
  auto node = conjunction();
  while (tokens_.skip_name("or"))
    node = binary("or", std::move(node), conjunction());
  return node;
}

ExpressionPtr ExpressionParser::conjunction() {
  auto node = negation();
  while (tokens_.skip_name("and"))
    node = binary("and", std::move(node), negation());
  return node;
}

ExpressionPtr ExpressionParser::negation() {
  const Nesting nesting(nesting_, tokens_.line());
  if (!tokens_.is_name("not"))
    return comparison();
  const int line = tokens_.next().line;
  return adopt(make(ExprKind::Unary, line, "not"), negation());
}

ExpressionPtr ExpressionParser::comparison() {
  static constexpr std::string_view kOperators[] = {"==", "!=", "<", "<=", ">", ">="};
  auto node = sum();
  ExpressionPtr chain;
  for (;;) {
    std::string name;
    if (tokens_.is(Token::Kind::Operator) &&
        std::ranges::find(kOperators, tokens_.peek().text) != std::end(kOperators)) {
      name = tokens_.next().text;
    } else if (tokens_.skip_name("in")) {
      name = "in";
    } else if (tokens_.is_name("not") && tokens_.peek(1).kind == Token::Kind::Name &&
               tokens_.peek(1).text == "in") {
      tokens_.next();
      tokens_.next();
      name = "not in";
    } else {
      break;
    }
    if (!chain)
      chain = adopt(make(ExprKind::Compare, node->line), std::move(node));
    chain->operators.push_back(std::move(name));
    chain = adopt(std::move(chain), sum());
  }
  return chain ? std::move(chain) : std::move(node);
}

ExpressionPtr ExpressionParser::sum() {
  auto node = concatenation();
  while (tokens_.is_operator("+") || tokens_.is_operator("-")) {
    const auto name = tokens_.next().text;
    node = binary(name, std::move(node), concatenation());
  }
  return node;
}

ExpressionPtr ExpressionParser::concatenation() {
  auto node = product();
  if (!tokens_.is_operator("~"))
    return node;
  auto chain = adopt(make(ExprKind::Concat, node->line), std::move(node));
  while (tokens_.skip_operator("~"))
    chain = adopt(std::move(chain), product());
  return chain;
}

ExpressionPtr ExpressionParser::product() {
  auto node = power();
  while (tokens_.is_operator("*") || tokens_.is_operator("/") || tokens_.is_operator("//") ||
         tokens_.is_operator("%")) {
    const auto name = tokens_.next().text;
    node = binary(name, std::move(node), power());
  }
  return node;
}

ExpressionPtr ExpressionParser::power() {
  auto node = unary();
  while (tokens_.skip_operator("**"))
    node = binary("**", std::move(node), unary());
  return node;
}

ExpressionPtr ExpressionParser::unary(bool with_filters) {
  const Nesting nesting(nesting_, tokens_.line());
  ExpressionPtr node;
  if (tokens_.is_operator("-") || tokens_.is_operator("+")) {
    const auto& token = tokens_.next();
    auto sign = make(ExprKind::Unary, token.line, token.text);
    node = adopt(std::move(sign), unary(false));
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  return with_filters ? filters(std::move(node)) : std::move(node);
}

ExpressionPtr ExpressionParser::primary() {
  const auto& token = tokens_.peek();
  const int line = token.line;
  switch (token.kind) {
    case Token::Kind::Name: {
      const auto name = tokens_.next().text;
      if (name == "true" || name == "True")
        return constant(line, true);
      if (name == "false" || name == "False")
        return constant(line, false);
      if (name == "none" || name == "None")
        return constant(line, None{});
      saw_varargs = saw_varargs || name == "varargs";
      saw_kwargs = saw_kwargs || name == "kwargs";
      return make(ExprKind::Name, line, name);
    }
    case Token::Kind::String: {
      std::string text;
      while (tokens_.is(Token::Kind::String))
        text += tokens_.next().text;
      return constant(line, std::move(text));
    }
    case Token::Kind::Integer:
    case Token::Kind::Float:
      return number(tokens_.next());
    default:
      break;
  }
  if (tokens_.is_operator("("))
    return parenthesized();
  if (tokens_.is_operator("["))
    return list_display();
  if (tokens_.is_operator("{"))
    return dict_display();
  tokens_.unexpected("an expression");
}

ExpressionPtr ExpressionParser::parenthesized() {
  const int line = tokens_.next().line;
  if (tokens_.skip_operator(")"))
    return make(ExprKind::Tuple, line);
  auto node = tuple();
  tokens_.expect_operator(")");
  return node;
}

ExpressionPtr ExpressionParser::list_display() {
  auto node = make(ExprKind::List, tokens_.next().line);
  while (!tokens_.skip_operator("]")) {
    if (!node->children.empty()) {
      tokens_.expect_operator(",");
      if (tokens_.skip_operator("]"))
        break;
    }
    node = adopt(std::move(node), expression());
  }
  return node;
}

ExpressionPtr ExpressionParser::dict_display() {
  auto node = make(ExprKind::Dict, tokens_.next().line);
  while (!tokens_.skip_operator("}")) {
    if (!node->children.empty()) {
      tokens_.expect_operator(",");
      if (tokens_.skip_operator("}"))
        break;
    }
    node = adopt(std::move(node), expression());
    tokens_.expect_operator(":");
    node = adopt(std::move(node), expression());
  }
  return node;
}

ExpressionPtr ExpressionParser::tuple(bool with_conditional) {
  const auto element = [&] { return with_conditional ? expression() : disjunction(); };
  const auto ends = [&] {
    return tokens_.is(Token::Kind::BlockEnd) || tokens_.is(Token::Kind::PrintEnd) ||
           tokens_.is_operator(")") || tokens_.is_name("recursive") || tokens_.is_operator("=");
  };
  auto first = element();
  if (!tokens_.is_operator(","))
    return first;
  auto node = adopt(make(ExprKind::Tuple, first->line), std::move(first));
  while (tokens_.skip_operator(",")) {
    if (ends())
      break;
    node = adopt(std::move(node), element());
  }
  return node;
}

}  // namespace llmd::text::jinja
