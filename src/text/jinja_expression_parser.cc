#include <algorithm>
#include <charconv>

#include "text/jinja_parser.h"

namespace llmd::text::jinja {
namespace {

using ExprKind = Expression::Kind;
constexpr int kMaxDepth = 150;  // of the tree; recursion and long operator chains both count

int depth_of(const ExpressionPtr& node) {
  return node ? node->depth : 0;
}

ExpressionPtr adopt(ExpressionPtr node, ExpressionPtr child) {
  node->depth = std::max(node->depth, depth_of(child) + 1);
  if (node->depth > kMaxDepth)
    throw SyntaxFailure{"the expression is nested too deeply", node->line};
  node->children.push_back(std::move(child));
  return node;
}

ExpressionPtr make(ExprKind kind, int line, std::string name = {}) {
  auto node = std::make_unique<Expression>();
  node->kind = kind;
  node->line = line;
  node->name = std::move(name);
  return node;
}

ExpressionPtr binary(std::string name, ExpressionPtr left, ExpressionPtr right) {
  auto node = make(ExprKind::Binary, left->line, std::move(name));
  return adopt(adopt(std::move(node), std::move(left)), std::move(right));
}

ExpressionPtr constant(int line, Value value) {
  auto node = make(ExprKind::Constant, line);
  node->value = std::move(value);
  return node;
}

struct Nesting {
  Nesting(int& count, int line) : count_(count) {
    if (++count_ > kMaxDepth)
      throw SyntaxFailure{"the expression is nested too deeply", line};
  }
  ~Nesting() { --count_; }
  int& count_;
};

ExpressionPtr number(const Token& token) {
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

}  // namespace

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
  if (node.depth > kMaxDepth)
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
