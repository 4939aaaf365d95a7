#include <boost/json/array.hpp>

#include "base/strings.h"
#include "text/go_template_lexer.h"
#include "text/go_template_nodes.h"

namespace llmd::text::go {
namespace {

constexpr int kMaxDepth = 50;  // nested blocks and parentheses

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  Result<std::vector<Node>> run() {
    LLMD_TRY(auto nodes, block(false));
    return nodes;
  }

 private:
  const Token& peek(std::size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  const Token& next() {
    const Token& token = peek();
    at_ = std::min(at_ + 1, tokens_.size() - 1);
    return token;
  }
  bool is_keyword(std::string_view word, std::size_t ahead = 1) const {
    return peek().kind == TokenKind::Open && peek(ahead).kind == TokenKind::Name && peek(ahead).text == word;
  }

  // Nodes up to {{end}}, {{else}} or, outside of blocks, the end of the text.
  Result<std::vector<Node>> block(bool inside) {
    std::vector<Node> nodes;
    while (true) {
      const Token& token = peek();
      if (token.kind == TokenKind::End) {
        if (inside) {
          return error_at(token.position, "a block has no {{end}}");
        }
        return nodes;
      }
      if (is_keyword("end") || is_keyword("else")) {
        if (inside) {
          return nodes;
        }
        return error_at(token.position, fmt::format("{{{{{}}}}} without a block", peek(1).text));
      }
      LLMD_TRY(auto node, element());
      nodes.push_back(std::move(node));
    }
  }

  Result<Node> element() {
    const Token& token = next();
    if (token.kind == TokenKind::Text) {
      Node node;
      node.text = token.text;
      node.position = token.position;
      return node;
    }
    const Position position = token.position;
    const std::string word = peek().kind == TokenKind::Name ? peek().text : "";
    if (word == "if" || word == "with" || word == "range") {
      next();
      return control(word, position);
    }
    if (word == "break" || word == "continue") {
      next();
      if (range_depth_ == 0) {
        return error_at(position, fmt::format("{{{{{}}}}} outside of {{{{range}}}}", word));
      }
      LLMD_TRY_VOID(close());
      Node node;
      node.kind = word == "break" ? Node::Kind::Break : Node::Kind::Continue;
      node.position = position;
      return node;
    }
    if (word == "define" || word == "template" || word == "block") {
      return error_at(position, fmt::format("'{}' is not supported", word));
    }
    Node node;
    node.kind = Node::Kind::Print;
    node.position = position;
    LLMD_TRY(node.pipeline, pipeline());
    LLMD_TRY_VOID(close());
    return node;
  }

  Result<void> close() {
    const Token& token = next();
    if (token.kind != TokenKind::Close) {
      return error_at(token.position, fmt::format("unexpected '{}' before '}}}}'", token.text));
    }
    return {};
  }

  Result<Node> control(const std::string& word, const Position& position) {
    const Depth depth(*this);
    if (depth.exceeded()) {
      return error_at(position, "blocks are nested too deeply");
    }
    Node node;
    node.kind = word == "if" ? Node::Kind::If : word == "with" ? Node::Kind::With : Node::Kind::Range;
    node.position = position;
    LLMD_TRY(node.pipeline, pipeline());
    LLMD_TRY_VOID(close());
    range_depth_ += word == "range" ? 1 : 0;
    LLMD_TRY(node.body, block(true));
    range_depth_ -= word == "range" ? 1 : 0;
    next();  // {{
    const std::string closing = next().text;
    if (closing == "else") {
      LLMD_TRY_VOID(otherwise(word, node));
      return node;
    }
    LLMD_TRY_VOID(close());
    return node;
  }

  Result<void> otherwise(const std::string& word, Node& node) {
    const Token& token = peek();
    if (token.kind == TokenKind::Name && token.text == word && word != "range") {  // {{else if ...}}
      const Position position = next().position;
      LLMD_TRY(auto chained, control(word, position));
      node.otherwise.push_back(std::move(chained));
      return {};
    }
    LLMD_TRY_VOID(close());
    LLMD_TRY(node.otherwise, block(true));
    next();  // {{
    const Token& closing = next();
    if (closing.text != "end") {
      return error_at(closing.position, "expected {{end}} after {{else}}");
    }
    return close();
  }

  Result<Pipeline> pipeline() {
    const Depth depth(*this);
    Pipeline result;
    result.position = peek().position;
    if (depth.exceeded()) {
      return error_at(result.position, "parentheses are nested too deeply");
    }
    LLMD_TRY_VOID(variables(result));
    do {
      LLMD_TRY(auto one, command());
      result.commands.push_back(std::move(one));
    } while (accept(TokenKind::Pipe));
    return result;
  }

  // $x := , $x = , $i, $v :=
  Result<void> variables(Pipeline& result) {
    if (peek().kind != TokenKind::Variable) {
      return {};
    }
    std::size_t ahead = 1;
    const bool two = peek(1).kind == TokenKind::Comma && peek(2).kind == TokenKind::Variable;
    ahead = two ? 3 : 1;
    const TokenKind kind = peek(ahead).kind;
    if (kind != TokenKind::Declare && kind != TokenKind::Assign) {
      return {};
    }
    for (std::size_t i = 0; i < ahead; i += 2) {
      if (peek(i).text.empty()) {
        return error_at(peek(i).position, "'$' alone is the data and cannot be set");
      }
      result.variables.push_back(peek(i).text);
    }
    result.assigns = kind == TokenKind::Assign;
    at_ += ahead + 1;
    return {};
  }

  bool accept(TokenKind kind) {
    if (peek().kind != kind) {
      return false;
    }
    next();
    return true;
  }

  Result<Command> command() {
    Command result;
    while (true) {
      const Token& token = peek();
      if (token.kind == TokenKind::Close || token.kind == TokenKind::Pipe ||
          token.kind == TokenKind::RightParen || token.kind == TokenKind::End ||
          token.kind == TokenKind::Open) {
        break;
      }
      LLMD_TRY(auto one, operand());
      result.operands.push_back(std::move(one));
    }
    if (result.operands.empty()) {
      return error_at(peek().position, "an action needs a value");
    }
    if (result.operands.size() > 1 && result.operands.front().kind != Operand::Kind::Function) {
      return error_at(result.operands[1].position, "only functions take arguments; methods cannot be called");
    }
    return result;
  }

  Result<Operand> operand() {
    const Token token = next();
    Operand result;
    result.position = token.position;
    switch (token.kind) {
      case TokenKind::Field:
        if (!token.text.empty()) {
          result.fields.push_back(token.text);
        }
        break;
      case TokenKind::Variable:
        result.kind = Operand::Kind::Variable;
        result.name = token.text;
        break;
      case TokenKind::Name: {
        LLMD_TRY_VOID(named(token, result));
        break;
      }
      case TokenKind::String:
        result.kind = Operand::Kind::Literal;
        result.literal = json::Value(json::String(token.text.data(), token.text.size()));
        break;
      case TokenKind::Number: {
        result.kind = Operand::Kind::Literal;
        LLMD_TRY(result.literal, number(token));
        break;
      }
      case TokenKind::LeftParen: {
        result.kind = Operand::Kind::Group;
        LLMD_TRY(auto group, pipeline());
        result.group = std::make_shared<Pipeline>(std::move(group));
        if (!accept(TokenKind::RightParen)) {
          return error_at(token.position, "'(' has no matching ')'");
        }
        break;
      }
      default:
        return error_at(token.position, "expected a value");
    }
    while (peek().kind == TokenKind::Field && !peek().after_space && !peek().text.empty()) {
      result.fields.push_back(next().text);
    }
    return result;
  }

  static Result<void> named(const Token& token, Operand& result) {
    result.kind = Operand::Kind::Literal;
    if (token.text == "true" || token.text == "false") {
      result.literal = json::Value(token.text == "true");
    } else if (token.text == "nil") {
      result.literal = json::Value(nullptr);
    } else if (token.text == "if" || token.text == "range" || token.text == "with" || token.text == "end" ||
               token.text == "else") {
      return error_at(token.position, fmt::format("'{}' must be the first word of an action", token.text));
    } else {
      result.kind = Operand::Kind::Function;
      result.name = token.text;
    }
    return {};
  }

  static Result<json::Value> number(const Token& token) {
    const std::string_view text = std::string_view(token.text).substr(token.text.starts_with('+') ? 1 : 0);
    if (const auto integer = parse_integer(text)) {
      return json::Value(static_cast<std::int64_t>(*integer));
    }
    if (const auto real = parse_number(text)) {
      return json::Value(*real);
    }
    return error_at(token.position, fmt::format("'{}' is not a number", token.text));
  }

  class Depth {
   public:
    explicit Depth(Parser& parser) : parser_(parser) { ++parser_.depth_; }
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;
    ~Depth() { --parser_.depth_; }
    bool exceeded() const { return parser_.depth_ > kMaxDepth; }

   private:
    Parser& parser_;
  };

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
  int range_depth_ = 0;
};

}  // namespace

Result<std::vector<Node>> parse_nodes(std::string_view text) {
  LLMD_TRY(auto tokens, tokenize(text));
  return Parser(std::move(tokens)).run();
}

}  // namespace llmd::text::go

namespace llmd::text {

Result<GoTemplate> GoTemplate::parse(std::string_view text) {
  LLMD_TRY(auto nodes, go::parse_nodes(text));
  return GoTemplate(std::make_shared<const Block>(Block{std::move(nodes)}));
}

}  // namespace llmd::text
