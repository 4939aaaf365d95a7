#include "engine/grammar/regex_grammar.h"

#include <cctype>
#include <optional>

namespace llmd::engine {
namespace {

constexpr int kMostRepeats = 10000;
constexpr int kMostDepth = 100;

class RegexParser {
 public:
  using Piece = GrammarBuilder::Piece;
  RegexParser(GrammarBuilder& builder, std::string_view pattern, const ByteSet& among)
      : builder_(builder), pattern_(pattern), among_(among) {}

  Result<Piece> parse() {
    take('^');
    if (pattern_.size() > at_ && pattern_.back() == '$' &&
        (pattern_.size() < 2 || pattern_[pattern_.size() - 2] != '\\')) {
      pattern_.remove_suffix(1);
    }
    LLMD_TRY(auto whole, alternatives(0));
    if (at_ < pattern_.size()) {
      return wrong("unmatched ')'");
    }
    return whole;
  }

 private:
  // A set of characters: ASCII ones, and whether all others belong to it.
  struct Class {
    ByteSet ascii;
    bool others = false;
    std::vector<std::string> literals;  // single characters beyond ASCII
  };

  Error wrong(std::string_view what) const {
    return invalid_argument("regular expression, character {}: {}", at_ + 1, what);
  }
  bool more() const { return at_ < pattern_.size(); }
  bool take(char c) {
    if (more() && pattern_[at_] == c) {
      ++at_;
      return true;
    }
    return false;
  }

  Result<Piece> alternatives(int depth) {
    if (depth > kMostDepth) {
      return wrong("groups are nested too deeply");
    }
    std::vector<Piece> all;
    do {
      std::vector<Piece> pieces;
      while (more() && pattern_[at_] != '|' && pattern_[at_] != ')') {
        LLMD_TRY(auto piece, atom(depth));
        LLMD_TRY(auto quantified, quantify(std::move(piece)));
        pieces.push_back(std::move(quantified));
      }
      all.push_back(builder_.sequence(std::move(pieces)));
    } while (take('|'));
    return all.size() == 1 ? std::move(all.front()) : builder_.either(std::move(all));
  }

  Result<Piece> atom(int depth) {
    const char c = pattern_[at_++];
    switch (c) {
      case '(': {
        if (take('?') && !take(':')) {
          return wrong("only (?: ) groups are supported");
        }
        LLMD_TRY(auto inner, alternatives(depth + 1));
        if (!take(')')) {
          return wrong("')' is missing");
        }
        return inner;
      }
      case '[': {
        LLMD_TRY(const auto set, bracket());
        return piece_of(set);
      }
      case '.':
        return piece_of({.ascii = byte_range(0, 127) & ~bytes_of("\n"), .others = true, .literals = {}});
      case '\\': {
        LLMD_TRY(const auto set, escape());
        return piece_of(set);
      }
      case '*':
      case '+':
      case '?':
      case '{':
        return wrong("nothing to repeat");
      case '^':
      case '$':
        return wrong("anchors are supported at the ends only");
      default:
        --at_;
        return piece_of(literal());
    }
  }

  // One character of the pattern, which may be several bytes.
  Class literal() {
    const auto first = static_cast<unsigned char>(pattern_[at_]);
    if (first < 0x80) {
      return {.ascii = bytes_of(pattern_.substr(at_++, 1)), .literals = {}};
    }
    std::size_t end = at_ + 1;
    while (end < pattern_.size() && (static_cast<unsigned char>(pattern_[end]) & 0xc0U) == 0x80U) {
      ++end;
    }
    Class set{.ascii = {}, .literals = {std::string(pattern_.substr(at_, end - at_))}};
    at_ = end;
    return set;
  }

  Result<Class> escape() {
    if (!more()) {
      return wrong("the pattern ends with a backslash");
    }
    const char c = pattern_[at_++];
    const ByteSet digits = byte_range('0', '9');
    const ByteSet words = digits | byte_range('a', 'z') | byte_range('A', 'Z') | bytes_of("_");
    const ByteSet spaces = bytes_of(" \t\n\r\f\v");
    const ByteSet all = byte_range(0, 127);
    switch (c) {
      case 'd':
        return Class{.ascii = digits, .literals = {}};
      case 'w':
        return Class{.ascii = words, .literals = {}};
      case 's':
        return Class{.ascii = spaces, .literals = {}};
      case 'D':
        return Class{.ascii = all & ~digits, .others = true, .literals = {}};
      case 'W':
        return Class{.ascii = all & ~words, .others = true, .literals = {}};
      case 'S':
        return Class{.ascii = all & ~spaces, .others = true, .literals = {}};
      case 'n':
        return Class{.ascii = bytes_of("\n"), .literals = {}};
      case 't':
        return Class{.ascii = bytes_of("\t"), .literals = {}};
      case 'r':
        return Class{.ascii = bytes_of("\r"), .literals = {}};
      default:
        if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
          return wrong(fmt::format("\\{} is not supported", c));
        }
        return Class{.ascii = bytes_of({&c, 1}), .literals = {}};
    }
  }

  Result<Class> bracket() {
    const bool negated = take('^');
    Class set;
    bool first = true;
    while (more() && (first || pattern_[at_] != ']')) {
      first = false;
      LLMD_TRY(auto low, bracket_item());
      if (at_ + 1 < pattern_.size() && pattern_[at_] == '-' && pattern_[at_ + 1] != ']') {
        ++at_;
        LLMD_TRY(const auto high, bracket_item());
        if (low.ascii.count() != 1 || high.ascii.count() != 1 || !high.literals.empty()) {
          return wrong("ranges are supported between ASCII characters only");
        }
        low.ascii =
            byte_range(static_cast<int>(low.ascii._Find_first()), static_cast<int>(high.ascii._Find_first()));
      }
      set.ascii |= low.ascii;
      set.others = set.others || low.others;
      set.literals.insert(set.literals.end(), low.literals.begin(), low.literals.end());
    }
    if (!take(']')) {
      return wrong("']' is missing");
    }
    if (negated) {
      if (!set.literals.empty()) {
        return wrong("a negated class may name ASCII characters only");
      }
      set.ascii = byte_range(0, 127) & ~set.ascii;
      set.others = !set.others;
    }
    return set;
  }

  Result<Class> bracket_item() { return take('\\') ? escape() : Result<Class>(literal()); }

  Piece piece_of(const Class& set) {
    std::vector<Piece> pieces = {builder_.one_of(set.ascii & among_)};
    if (set.others) {
      pieces.push_back(builder_.beyond_ascii());
    } else {
      for (const std::string& text : set.literals) {
        pieces.push_back(builder_.text(text));
      }
    }
    return pieces.size() == 1 ? std::move(pieces.front()) : builder_.either(std::move(pieces));
  }

  std::optional<int> number() {
    int value = 0;
    const std::size_t begin = at_;
    while (more() && std::isdigit(static_cast<unsigned char>(pattern_[at_])) != 0 && value <= kMostRepeats) {
      value = value * 10 + (pattern_[at_++] - '0');
    }
    return at_ == begin ? std::nullopt : std::optional(value);
  }

  Result<Piece> quantify(Piece piece) {
    int least = 1;
    int most = 1;
    if (take('*')) {
      least = 0;
      most = -1;
    } else if (take('+')) {
      most = -1;
    } else if (take('?')) {
      least = 0;
    } else if (take('{')) {
      const auto low = number();
      const bool comma = take(',');
      const auto high = number();
      if (!take('}') || (!low && !high)) {
        return wrong("expected {m}, {m,} or {m,n}");
      }
      least = low.value_or(0);
      most = high ? *high : comma ? -1 : least;
      if (least > kMostRepeats || most > kMostRepeats || (most >= 0 && most < least)) {
        return wrong("repeats out of range");
      }
    } else {
      return piece;
    }
    take('?');  // which of several matches is found first does not matter here
    return builder_.repeat(std::move(piece), least, most);
  }

  GrammarBuilder& builder_;
  std::string_view pattern_;
  const ByteSet among_;
  std::size_t at_ = 0;
};

}  // namespace

Result<GrammarBuilder::Piece> regex_piece(GrammarBuilder& builder, std::string_view pattern,
                                          const ByteSet& among) {
  return RegexParser(builder, pattern, among).parse();
}

}  // namespace llmd::engine
