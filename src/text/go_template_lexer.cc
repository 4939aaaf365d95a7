#include "text/go_template_lexer.h"

#include <cctype>

#include "base/strings.h"

namespace llmd::text::go {
namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}
bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void append_utf8(std::string& out, unsigned code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xE0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  Result<std::vector<Token>> run() {
    while (at_ < text_.size()) {
      LLMD_TRY_VOID(literal_text());
      if (at_ < text_.size()) {
        LLMD_TRY_VOID(action());
      }
    }
    tokens_.push_back({.kind = TokenKind::End, .text = {}, .position = here_});
    return std::move(tokens_);
  }

 private:
  bool looking_at(std::string_view piece) const { return text_.substr(at_).starts_with(piece); }

  void advance(std::size_t count) {
    for (; count > 0 && at_ < text_.size(); --count, ++at_) {
      if (text_[at_] == '\n') {
        here_ = {here_.line + 1, 1};
      } else {
        ++here_.column;
      }
    }
  }

  void push(TokenKind kind, std::string text, Position position) {
    tokens_.push_back({kind, std::move(text), position, after_space_});
    after_space_ = false;
  }

  // Text up to the next action, without the space that trim markers on either side remove.
  Result<void> literal_text() {
    const std::size_t open = text_.find("{{", at_);
    std::string_view piece = text_.substr(at_, open == std::string_view::npos ? open : open - at_);
    const Position position = here_;
    advance(piece.size());
    if (trim_next_) {
      while (!piece.empty() && is_space(piece.front())) {
        piece.remove_prefix(1);
      }
      trim_next_ = false;
    }
    const std::string_view rest = text_.substr(at_);
    if (rest.size() > 3 && rest.starts_with("{{-") && is_space(rest[3])) {
      while (!piece.empty() && is_space(piece.back())) {
        piece.remove_suffix(1);
      }
    }
    if (!piece.empty()) {
      push(TokenKind::Text, std::string(piece), position);
    }
    return {};
  }

  Result<void> action() {
    const Position opened = here_;
    advance(2);
    if (at_ + 1 < text_.size() && text_[at_] == '-' && is_space(text_[at_ + 1])) {
      advance(2);
    }
    skip_space();
    if (looking_at("/*")) {
      return comment(opened);
    }
    after_space_ = false;
    push(TokenKind::Open, {}, opened);
    while (true) {
      after_space_ = skip_space();
      if (after_space_ && looking_at("-}}")) {
        trim_next_ = true;
        advance(1);
      }
      if (looking_at("}}")) {
        push(TokenKind::Close, {}, here_);
        advance(2);
        return {};
      }
      if (at_ >= text_.size()) {
        return error_at(opened, "'{{' has no matching '}}'");
      }
      LLMD_TRY_VOID(token());
    }
  }

  Result<void> comment(const Position& opened) {
    const std::size_t end = text_.find("*/", at_);
    if (end == std::string_view::npos) {
      return error_at(opened, "comment has no end");
    }
    advance(end + 2 - at_);
    if (skip_space() && looking_at("-}}")) {
      trim_next_ = true;
      advance(1);
    }
    if (!looking_at("}}")) {
      return error_at(opened, "a comment must be alone in its action");
    }
    advance(2);
    return {};
  }

  bool skip_space() {
    const std::size_t before = at_;
    while (at_ < text_.size() && is_space(text_[at_])) {
      advance(1);
    }
    return at_ != before;
  }

  std::string word() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && is_word(text_[at_])) {
      advance(1);
    }
    return std::string(text_.substr(begin, at_ - begin));
  }

  Result<void> token() {
    const Position position = here_;
    const char c = text_[at_];
    if (c == '"') {
      return quoted(position);
    }
    if (c == '`') {
      return raw(position);
    }
    if (c == '.' || c == '$') {
      if (c == '.' && at_ + 1 < text_.size() &&
          std::isdigit(static_cast<unsigned char>(text_[at_ + 1])) != 0) {
        return number(position);
      }
      advance(1);
      push(c == '.' ? TokenKind::Field : TokenKind::Variable, word(), position);
      return {};
    }
    if (std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '+') {
      return number(position);
    }
    if (is_word(c)) {
      push(TokenKind::Name, word(), position);
      return {};
    }
    return punctuation(position);
  }

  Result<void> punctuation(const Position& position) {
    if (looking_at(":=")) {
      advance(2);
      push(TokenKind::Declare, {}, position);
      return {};
    }
    const char c = text_[at_];
    const std::size_t index = std::string_view("|(),=").find(c);
    if (index == std::string_view::npos) {
      return error_at(position, fmt::format("unexpected character '{}' in an action", c));
    }
    static constexpr TokenKind kKinds[] = {TokenKind::Pipe, TokenKind::LeftParen, TokenKind::RightParen,
                                           TokenKind::Comma, TokenKind::Assign};
    advance(1);
    push(kKinds[index], {}, position);
    return {};
  }

  Result<void> number(const Position& position) {
    const std::size_t begin = at_;
    advance(1);
    while (at_ < text_.size() && (is_word(text_[at_]) || text_[at_] == '.')) {
      advance(1);
    }
    const std::string_view digits = text_.substr(begin, at_ - begin);
    if (!parse_number(digits.starts_with('+') ? digits.substr(1) : digits)) {
      return error_at(position, fmt::format("'{}' is not a number", digits));
    }
    push(TokenKind::Number, std::string(digits), position);
    return {};
  }

  Result<void> raw(const Position& position) {
    const std::size_t end = text_.find('`', at_ + 1);
    if (end == std::string_view::npos) {
      return error_at(position, "string in back quotes has no end");
    }
    std::string content(text_.substr(at_ + 1, end - at_ - 1));
    advance(end + 1 - at_);
    push(TokenKind::String, std::move(content), position);
    return {};
  }

  Result<void> quoted(const Position& position) {
    std::string content;
    advance(1);
    while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\n') {
      if (text_[at_] != '\\') {
        content += text_[at_];
        advance(1);
        continue;
      }
      LLMD_TRY_VOID(escape(position, content));
    }
    if (at_ >= text_.size() || text_[at_] != '"') {
      return error_at(position, "string has no closing quote");
    }
    advance(1);
    push(TokenKind::String, std::move(content), position);
    return {};
  }

  Result<void> escape(const Position& position, std::string& content) {
    advance(1);
    const char c = at_ < text_.size() ? text_[at_] : '\0';
    static constexpr std::string_view kNames = "ntr\\\"'ab";
    static constexpr std::string_view kValues = "\n\t\r\\\"'\a\b";
    if (const std::size_t index = kNames.find(c); c != '\0' && index != std::string_view::npos) {
      content += kValues[index];
      advance(1);
      return {};
    }
    if (c == 'u' && at_ + 4 < text_.size()) {
      unsigned code = 0;
      for (std::size_t i = 1; i <= 4; ++i) {
        const char digit = text_[at_ + i];
        if (std::isxdigit(static_cast<unsigned char>(digit)) == 0) {
          return error_at(position, "\\u needs four hexadecimal digits");
        }
        code = code * 16 + static_cast<unsigned>(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
      }
      append_utf8(content, code);
      advance(5);
      return {};
    }
    return error_at(position, "unknown escape in a string");
  }

  std::string_view text_;
  std::size_t at_ = 0;
  Position here_;
  bool trim_next_ = false;
  bool after_space_ = false;
  std::vector<Token> tokens_;
};

}  // namespace

Error error_at(const Position& position, std::string_view message) {
  return invalid_argument("{}:{}: {}", position.line, position.column, message);
}

Result<std::vector<Token>> tokenize(std::string_view text) {
  return Lexer(text).run();
}

}  // namespace llmd::text::go
