#include "engine/grammar/grammar.h"

#include <utility>

namespace llmd::engine {
namespace {

constexpr std::size_t kMostNodes = 200000;
constexpr int kReturn = 0;

}  // namespace

ByteSet byte_range(int first, int last) {
  ByteSet set;
  for (int byte = first; byte <= last; ++byte) {
    set.set(static_cast<std::size_t>(byte));
  }
  return set;
}

ByteSet bytes_of(std::string_view text) {
  ByteSet set;
  for (const char c : text) {
    set.set(static_cast<unsigned char>(c));
  }
  return set;
}

GrammarBuilder::GrammarBuilder() {
  grammar_.nodes.emplace_back();
  declare_rule();
}

int GrammarBuilder::add(GrammarNode node) {
  if (grammar_.nodes.size() <= kMostNodes) {  // finish() reports it
    grammar_.nodes.push_back(std::move(node));
  }
  return static_cast<int>(grammar_.nodes.size()) - 1;
}

GrammarBuilder::Piece GrammarBuilder::nothing() const {
  return [](int next) { return next; };
}

GrammarBuilder::Piece GrammarBuilder::one_of(const ByteSet& set) {
  return [this, set](int next) {
    return add({.kind = GrammarNode::Kind::Bytes, .bytes = set, .next = next, .branches = {}});
  };
}

GrammarBuilder::Piece GrammarBuilder::text(std::string_view text) {
  std::vector<Piece> pieces;
  for (const char& c : text) {
    pieces.push_back(one_of(bytes_of({&c, 1})));
  }
  return sequence(std::move(pieces));
}

GrammarBuilder::Piece GrammarBuilder::sequence(std::vector<Piece> pieces) const {
  return [pieces = std::move(pieces)](int next) {
    for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
      next = (*piece)(next);
    }
    return next;
  };
}

GrammarBuilder::Piece GrammarBuilder::either(std::vector<Piece> pieces) {
  return [this, pieces = std::move(pieces)](int next) {
    GrammarNode node{.kind = GrammarNode::Kind::Branch, .bytes = {}, .branches = {}};
    for (const Piece& piece : pieces) {
      node.branches.push_back(piece(next));
    }
    return add(std::move(node));
  };
}

GrammarBuilder::Piece GrammarBuilder::optional(Piece piece) {
  return either({std::move(piece), nothing()});
}

GrammarBuilder::Piece GrammarBuilder::repeat(Piece piece, int least, int most) {
  return [this, piece = std::move(piece), least, most](int next) {
    if (most < 0) {
      const int loop = add({.kind = GrammarNode::Kind::Branch, .bytes = {}, .branches = {next}});
      const int body = piece(loop);
      grammar_.nodes[static_cast<std::size_t>(loop)].branches.push_back(body);
      next = loop;
    }
    const int end = next;
    for (int i = least; i < most; ++i) {
      // The last of the optional ones is built first: each may be followed by the next one or by the end.
      next = add({.kind = GrammarNode::Kind::Branch, .bytes = {}, .branches = {end, piece(next)}});
    }
    for (int i = 0; i < least; ++i) {
      next = piece(next);
    }
    return next;
  };
}

GrammarBuilder::Piece GrammarBuilder::call(int rule) {
  return [this, rule](int next) {
    return add({.kind = GrammarNode::Kind::Call, .bytes = {}, .rule = rule, .next = next, .branches = {}});
  };
}

GrammarBuilder::Piece GrammarBuilder::beyond_ascii() {
  if (beyond_ascii_ < 0) {
    beyond_ascii_ = declare_rule();
    const auto range = [this](int first, int last) { return one_of(byte_range(first, last)); };
    const Piece tail = range(0x80, 0xbf);
    define_rule(beyond_ascii_, either({sequence({range(0xc2, 0xdf), tail}),
                                       sequence({range(0xe0, 0xe0), range(0xa0, 0xbf), tail}),
                                       sequence({range(0xe1, 0xec), tail, tail}),
                                       sequence({range(0xed, 0xed), range(0x80, 0x9f), tail}),
                                       sequence({range(0xee, 0xef), tail, tail}),
                                       sequence({range(0xf0, 0xf0), range(0x90, 0xbf), tail, tail}),
                                       sequence({range(0xf1, 0xf3), tail, tail, tail}),
                                       sequence({range(0xf4, 0xf4), range(0x80, 0x8f), tail, tail})}));
  }
  return call(beyond_ascii_);
}

int GrammarBuilder::declare_rule() {
  grammar_.rules.push_back(kReturn);
  return static_cast<int>(grammar_.rules.size()) - 1;
}

void GrammarBuilder::define_rule(int rule, const Piece& piece) {
  const int first = piece(kReturn);
  grammar_.rules[static_cast<std::size_t>(rule)] = first;
}

Result<Grammar> GrammarBuilder::finish(const Piece& whole) && {
  define_rule(0, whole);
  if (grammar_.nodes.size() > kMostNodes) {
    return resource_exhausted("the constraint is too large");
  }
  return std::move(grammar_);
}

}  // namespace llmd::engine
