#include "text/jinja_parser.h"

#include <algorithm>
#include <array>

namespace llmd::text::jinja {
namespace {

using StatementPtr = std::unique_ptr<Statement>;
using Ends = std::initializer_list<std::string_view>;
constexpr int kMaxBlockDepth = 60;

class StatementParser {
 public:
  StatementParser(std::string_view source, const JinjaOptions& options)
      : tokens_(tokenize(source, options)), expressions_(tokens_) {}

  std::shared_ptr<const Program> run(const JinjaOptions& options) {
    auto program = std::make_shared<Program>();
    program->options = options;
    program->body = body({});
    program->iterates_content = content_parts_;
    return program;
  }

 private:
  // Statements up to one of the tags in `ends`, which stays unread behind its '{%'.
  Body body(Ends ends) {
    if (++depth_ > kMaxBlockDepth)
      throw SyntaxFailure{"blocks are nested too deeply", tokens_.line()};
    const int line = tokens_.line();
    Body result;
    while (!tokens_.is(Token::Kind::End)) {
      if (tokens_.is(Token::Kind::Data)) {
        auto data = make(Statement::Kind::Data);
        data->text = tokens_.next().text;
        result.push_back(std::move(data));
      } else if (tokens_.is(Token::Kind::PrintBegin)) {
        tokens_.next();
        auto print = make(Statement::Kind::Print);
        print->value = expressions_.tuple();
        tokens_.expect(Token::Kind::PrintEnd, "'}}'");
        result.push_back(std::move(print));
      } else {
        tokens_.expect(Token::Kind::BlockBegin, "a block");
        if (tokens_.is(Token::Kind::Name) && std::ranges::find(ends, tokens_.peek().text) != ends.end()) {
          --depth_;
          return result;
        }
        result.push_back(statement());
      }
    }
    if (ends.size() > 0)
      throw SyntaxFailure{fmt::format("'{}' is missing", *(ends.end() - 1)), line};
    --depth_;
    return result;
  }

  StatementPtr make(Statement::Kind kind) {
    auto node = std::make_unique<Statement>();
    node->kind = kind;
    node->line = tokens_.line();
    return node;
  }

  void end_block() { tokens_.expect(Token::Kind::BlockEnd, "'%}'"); }

  // Body, then the named end tag.
  Body body_until(std::string_view end) {
    end_block();
    auto result = body({end});
    tokens_.next();
    end_block();
    return result;
  }

  StatementPtr statement() {
    if (!tokens_.is(Token::Kind::Name))
      tokens_.unexpected("a tag name");
    const auto tag = tokens_.peek().text;
    const int line = tokens_.line();
    if (tag == "if")
      return if_statement();
    if (tag == "for")
      return for_statement();
    if (tag == "set")
      return set_statement();
    if (tag == "macro")
      return macro_statement();
    if (tag == "call")
      return call_statement();
    if (tag == "filter")
      return filter_statement();
    if (tag == "with")
      return with_statement();
    if (tag == "generation") {
      auto node = make(Statement::Kind::Scope);
      tokens_.next();
      node->body = body_until("endgeneration");
      return node;
    }
    if (tag == "break" || tag == "continue") {
      if (loops_ == 0)
        throw SyntaxFailure{fmt::format("'{}' outside of a loop", tag), line};
      auto node = make(tag == "break" ? Statement::Kind::Break : Statement::Kind::Continue);
      tokens_.next();
      end_block();
      return node;
    }
    throw SyntaxFailure{fmt::format("unknown tag '{}'", tag), line};
  }

  StatementPtr if_statement() {
    auto node = make(Statement::Kind::If);
    tokens_.next();
    auto condition = expressions_.tuple(false);
    for (;;) {
      end_block();
      node->branches.emplace_back(std::move(condition), body({"elif", "else", "endif"}));
      if (tokens_.skip_name("elif")) {
        condition = expressions_.tuple(false);
        continue;
      }
      if (tokens_.skip_name("else")) {
        end_block();
        node->branches.emplace_back(nullptr, body({"endif"}));
      }
      tokens_.expect_name("endif");
      end_block();
      return node;
    }
  }

  StatementPtr for_statement() {
    auto node = make(Statement::Kind::For);
    tokens_.next();
    node->target = expressions_.target();
    tokens_.expect_name("in");
    node->value = expressions_.tuple(false);
    note_content(*node->value);
    if (tokens_.skip_name("if"))
      node->condition = expressions_.expression();
    node->recursive = tokens_.skip_name("recursive");
    end_block();
    ++loops_;
    node->body = body({"else", "endfor"});
    --loops_;
    if (tokens_.skip_name("else")) {
      end_block();
      node->otherwise = body({"endfor"});
    }
    tokens_.expect_name("endfor");
    end_block();
    return node;
  }

  // {% for part in message['content'] %}: the template wants parts, not one text.
  void note_content(const Expression& iterable) {
    using Kind = Expression::Kind;
    const bool by_name = iterable.kind == Kind::Attribute && iterable.name == "content";
    const bool by_key = iterable.kind == Kind::Subscript && iterable.children[1]->kind == Kind::Constant &&
                        iterable.children[1]->value.is_string() &&
                        iterable.children[1]->value.string() == "content";
    content_parts_ = content_parts_ || by_name || by_key;
  }

  StatementPtr set_statement() {
    auto node = make(Statement::Kind::Set);
    tokens_.next();
    node->target = expressions_.target();
    if (tokens_.skip_operator("=")) {
      node->value = expressions_.tuple();
      end_block();
      return node;
    }
    node->kind = Statement::Kind::SetBlock;
    if (tokens_.skip_operator("|"))
      node->value = expressions_.filter_chain();
    node->body = body_until("endset");
    return node;
  }

  void parameters(Statement& node) {
    tokens_.expect_operator("(");
    while (!tokens_.skip_operator(")")) {
      if (!node.parameters.empty()) {
        tokens_.expect_operator(",");
        if (tokens_.skip_operator(")"))
          break;
      }
      auto name = tokens_.name();
      ExpressionPtr fallback = tokens_.skip_operator("=") ? expressions_.expression() : nullptr;
      node.parameters.emplace_back(std::move(name), std::move(fallback));
    }
  }

  // break and continue do not reach out of a macro.
  void function_body(Statement& node, std::string_view end) {
    const int outer = std::exchange(loops_, 0);
    const bool outer_varargs = std::exchange(expressions_.saw_varargs, false);
    const bool outer_kwargs = std::exchange(expressions_.saw_kwargs, false);
    node.body = body_until(end);
    node.takes_varargs = std::exchange(expressions_.saw_varargs, outer_varargs);
    node.takes_kwargs = std::exchange(expressions_.saw_kwargs, outer_kwargs);
    loops_ = outer;
  }

  StatementPtr macro_statement() {
    auto node = make(Statement::Kind::Macro);
    tokens_.next();
    node->text = tokens_.name();
    parameters(*node);
    function_body(*node, "endmacro");
    return node;
  }

  StatementPtr call_statement() {
    auto node = make(Statement::Kind::CallBlock);
    tokens_.next();
    if (tokens_.is_operator("("))
      parameters(*node);
    node->value = expressions_.expression();
    if (node->value->kind != Expression::Kind::Call)
      throw SyntaxFailure{"'call' needs a macro call", node->line};
    function_body(*node, "endcall");
    return node;
  }

  StatementPtr filter_statement() {
    auto node = make(Statement::Kind::FilterBlock);
    tokens_.next();
    node->value = expressions_.filter_chain();
    node->body = body_until("endfilter");
    return node;
  }

  StatementPtr with_statement() {
    auto node = make(Statement::Kind::With);
    tokens_.next();
    while (!tokens_.is(Token::Kind::BlockEnd)) {
      if (!node->parameters.empty())
        tokens_.expect_operator(",");
      auto name = tokens_.name();
      tokens_.expect_operator("=");
      node->parameters.emplace_back(std::move(name), expressions_.expression());
    }
    node->body = body_until("endwith");
    return node;
  }

  TokenReader tokens_;
  ExpressionParser expressions_;
  int depth_ = 0;
  int loops_ = 0;
  bool content_parts_ = false;
};

}  // namespace

std::shared_ptr<const Program> parse_program(std::string_view source, const JinjaOptions& options) {
  return StatementParser(source, options).run(options);
}

}  // namespace llmd::text::jinja
