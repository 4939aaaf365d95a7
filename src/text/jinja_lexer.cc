#include "text/jinja_lexer.h"

#include <algorithm>
#include <array>

#include "text/jinja_unicode.h"

namespace llmd::text::jinja {
namespace {

bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\v' || c == '\f';
}
bool is_white(char c) {
  return is_blank(c) || c == '\n' || c == '\r';
}

// One kind of line ending, and the last one gone unless it shall stay.
std::string normalized(std::string_view source, bool keep_trailing_newline) {
  std::string text;
  text.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
    } else if (i + 1 == source.size() || source[i + 1] != '\n') {
      text += '\n';
    }
  }
  if (!keep_trailing_newline && !text.empty() && text.back() == '\n')
    text.pop_back();
  return text;
}

class Lexer {
 public:
  Lexer(std::string_view source, const JinjaOptions& options)
      : options_(options), text_(normalized(source, options.keep_trailing_newline)) {}

  std::vector<Token> run() {
    while (at_ < text_.size()) {
      const auto tag = next_tag();
      emit_data(tag);
      if (tag == std::string::npos)
        break;
      at_ = tag + 2;
      const char kind = text_[tag + 1];
      const bool marked = at_ < text_.size() && (text_[at_] == '-' || text_[at_] == '+');
      if (marked)
        ++at_;
      if (kind == '#') {
        comment();
      } else if (kind == '%' && raw_begins()) {
        raw();
      } else {
        tag_content(kind == '{');
      }
    }
    add(Token::Kind::End, "");
    return std::move(tokens_);
  }

 private:
  bool starts(std::string_view what) const { return std::string_view(text_).substr(at_).starts_with(what); }

  void add(Token::Kind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }

  void advance_to(std::size_t position) {
    line_ += static_cast<int>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         text_.begin() + static_cast<std::ptrdiff_t>(position), '\n'));
    at_ = position;
  }

  std::size_t next_tag() const {
    for (auto i = text_.find('{', at_); i != std::string::npos && i + 1 < text_.size();
         i = text_.find('{', i + 1)) {
      if (text_[i + 1] == '{' || text_[i + 1] == '%' || text_[i + 1] == '#')
        return i;
    }
    return std::string::npos;
  }

  // The text before a tag, less what the tag's sign or lstrip_blocks removes.
  void emit_data(std::size_t tag) {
    const auto end = std::min(tag, text_.size());
    std::string data = text_.substr(at_, end - at_);
    if (tag != std::string::npos) {
      strip_before(data, text_[tag + 1], tag + 2 < text_.size() ? text_[tag + 2] : ' ');
    }
    if (!data.empty())
      add(Token::Kind::Data, std::move(data));
    advance_to(end);
  }

  void strip_before(std::string& data, char tag_kind, char sign) const {
    if (sign == '-') {
      data.resize(strip(data, "", Side::Right).size());
    } else if (sign != '+' && options_.lstrip_blocks && tag_kind != '{') {
      const auto newline = data.rfind('\n');
      const auto line_start = newline == std::string::npos ? 0 : newline + 1;
      if ((line_start > 0 || line_starting_) &&
          std::all_of(data.begin() + static_cast<std::ptrdiff_t>(line_start), data.end(), is_blank)) {
        data.resize(line_start);
      }
    }
  }

  // Behind "%}", "#}" or "-}}": whitespace that the closing sign or trim_blocks swallows.
  void after_tag(char sign, bool is_print) {
    auto end = at_;
    if (sign == '-') {
      while (end < text_.size() && is_white(text_[end]))
        ++end;
    } else if (sign != '+' && !is_print && options_.trim_blocks && end < text_.size() && text_[end] == '\n') {
      ++end;
    }
    line_starting_ = end > at_ && text_[end - 1] == '\n';
    advance_to(end);
  }

  void comment() {
    const auto end = text_.find("#}", at_);
    if (end == std::string::npos)
      throw SyntaxFailure{"a comment is not closed: '#}' is missing", line_};
    const char sign = end > at_ ? text_[end - 1] : ' ';
    advance_to(end + 2);
    after_tag(sign, false);
  }

  bool raw_begins() const {
    auto i = at_;
    while (i < text_.size() && is_white(text_[i]))
      ++i;
    return text_.compare(i, 3, "raw") == 0 && i + 3 < text_.size() && !is_name_start(text_[i + 3]) &&
           !is_digit(text_[i + 3]);
  }

  // {% raw %} ... {% endraw %}: everything between is data.
  void raw() {
    const auto open = text_.find("%}", at_);
    if (open == std::string::npos)
      throw SyntaxFailure{"'%}' is missing", line_};
    const char open_sign = text_[open - 1];
    advance_to(open + 2);
    after_tag(open_sign, true);  // trim_blocks does not reach behind this tag
    for (auto tag = text_.find("{%", at_); tag != std::string::npos; tag = text_.find("{%", tag + 2)) {
      auto i = tag + 2;
      const char sign = i < text_.size() ? text_[i] : ' ';
      if (sign == '-' || sign == '+')
        ++i;
      while (i < text_.size() && is_white(text_[i]))
        ++i;
      if (text_.compare(i, 6, "endraw") != 0)
        continue;
      i += 6;
      while (i < text_.size() && is_white(text_[i]))
        ++i;
      const char close_sign = i < text_.size() ? text_[i] : ' ';
      if (close_sign == '-' || close_sign == '+')
        ++i;
      if (text_.compare(i, 2, "%}") != 0)
        continue;
      std::string data = text_.substr(at_, tag - at_);
      strip_before(data, '%', sign);
      if (!data.empty())
        add(Token::Kind::Data, std::move(data));
      advance_to(i + 2);
      after_tag(close_sign, false);
      return;
    }
    throw SyntaxFailure{"'{% endraw %}' is missing", line_};
  }

  void tag_content(bool is_print) {
    using Kind = Token::Kind;
    const std::string close = is_print ? "}}" : "%}";
    const int opened_at = line_;
    std::string brackets;
    add(is_print ? Kind::PrintBegin : Kind::BlockBegin, "");
    while (at_ < text_.size()) {
      if (is_white(text_[at_])) {
        advance_to(at_ + 1);
        continue;
      }
      const bool signed_close =
          (starts("-") || (starts("+") && !is_print)) && text_.compare(at_ + 1, 2, close) == 0;
      if (brackets.empty() && (signed_close || starts(close))) {
        const char sign = signed_close ? text_[at_] : ' ';
        add(is_print ? Kind::PrintEnd : Kind::BlockEnd, "");
        at_ += signed_close ? 3 : 2;
        after_tag(sign, is_print);
        return;
      }
      expression_token(brackets);
    }
    throw SyntaxFailure{"'" + close + "' is missing", opened_at};
  }

  void expression_token(std::string& brackets) {
    const char c = text_[at_];
    if (is_name_start(c)) {
      const auto begin = at_;
      while (at_ < text_.size() && (is_name_start(text_[at_]) || is_digit(text_[at_])))
        ++at_;
      add(Token::Kind::Name, text_.substr(begin, at_ - begin));
    } else if (is_digit(c)) {
      number();
    } else if (c == '"' || c == '\'') {
      string(c);
    } else {
      operation(brackets);
    }
  }

  void digits(std::string& out) {
    while (at_ < text_.size() && (is_digit(text_[at_]) || (text_[at_] == '_' && at_ + 1 < text_.size() &&
                                                           is_digit(text_[at_ + 1])))) {
      if (text_[at_] != '_')
        out += text_[at_];
      ++at_;
    }
  }

  void number() {
    std::string out;
    bool is_float = false;
    digits(out);
    if (at_ + 1 < text_.size() && text_[at_] == '.' && is_digit(text_[at_ + 1])) {
      is_float = true;
      out += text_[at_++];
      digits(out);
    }
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      auto i = at_ + 1;
      if (i < text_.size() && (text_[i] == '+' || text_[i] == '-'))
        ++i;
      if (i < text_.size() && is_digit(text_[i])) {
        is_float = true;
        out += text_.substr(at_, i - at_);
        at_ = i;
        digits(out);
      }
    }
    add(is_float ? Token::Kind::Float : Token::Kind::Integer, std::move(out));
  }

  void string(char quote) {
    const int begin_line = line_;
    std::string out;
    for (auto i = at_ + 1; i < text_.size();) {
      if (text_[i] == quote) {
        advance_to(i + 1);
        tokens_.push_back({Token::Kind::String, std::move(out), begin_line});
        return;
      }
      if (text_[i] == '\\' && i + 1 < text_.size()) {
        i = escape(i + 1, out);
      } else {
        out += text_[i++];
      }
    }
    throw SyntaxFailure{"a string is not closed", begin_line};
  }

  // Decodes the escape whose letter is at `i`; returns the position behind it. Unknown escapes stay as they
  // are.
  std::size_t escape(std::size_t i, std::string& out) {
    static constexpr std::string_view kLetters = "nrtabfv\\'\"";
    static constexpr std::string_view kMeanings = "\n\r\t\a\b\f\v\\'\"";
    const char letter = text_[i];
    if (const auto known = kLetters.find(letter); known != std::string_view::npos) {
      out += kMeanings[known];
      return i + 1;
    }
    if (letter == '\n')
      return i + 1;
    if (letter == 'x' || letter == 'u' || letter == 'U') {
      return code_point(i + 1, letter == 'x' ? 2 : (letter == 'u' ? 4 : 8), 16, out);
    }
    if (letter >= '0' && letter <= '7') {
      std::size_t length = 1;
      while (length < 3 && i + length < text_.size() && text_[i + length] >= '0' && text_[i + length] <= '7')
        ++length;
      return code_point(i, length, 8, out);
    }
    out += '\\';
    out += letter;
    return i + 1;
  }

  std::size_t code_point(std::size_t i, std::size_t length, int base, std::string& out) {
    char32_t value = 0;
    for (std::size_t k = 0; k < length; ++k) {
      const char c = i + k < text_.size() ? text_[i + k] : ' ';
      const int digit =
          is_digit(c) ? c - '0'
                      : (c >= 'a' && c <= 'f' ? c - 'a' + 10 : (c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99));
      if (digit >= base)
        throw SyntaxFailure{"a string escape is cut short", line_};
      value = value * static_cast<char32_t>(base) + static_cast<char32_t>(digit);
    }
    if (value > 0x10FFFF)
      throw SyntaxFailure{"a string escape is no Unicode character", line_};
    append_utf8(out, value);
    return i + length;
  }

  void operation(std::string& brackets) {
    static constexpr std::array<std::string_view, 6> kLong{"//", "**", "==", "!=", ">=", "<="};
    static constexpr std::string_view kSingle = "+-/*%~[](){}><=.:|,;";
    for (const auto candidate : kLong) {
      if (starts(candidate)) {
        add(Token::Kind::Operator, std::string(candidate));
        at_ += 2;
        return;
      }
    }
    const char c = text_[at_];
    if (kSingle.find(c) == std::string_view::npos) {
      throw SyntaxFailure{std::string("unexpected character '") + c + "'", line_};
    }
    if (c == '(' || c == '[' || c == '{')
      brackets += c;
    if (c == ')' || c == ']' || c == '}') {
      const char expected = c == ')' ? '(' : (c == ']' ? '[' : '{');
      if (brackets.empty() || brackets.back() != expected)
        throw SyntaxFailure{std::string("unexpected '") + c + "'", line_};
      brackets.pop_back();
    }
    add(Token::Kind::Operator, std::string(1, c));
    ++at_;
  }

  const JinjaOptions& options_;
  const std::string text_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source, const JinjaOptions& options) {
  return Lexer(source, options).run();
}

}  // namespace llmd::text::jinja
