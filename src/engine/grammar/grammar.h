// A language of byte strings as a network of nodes: read a byte of a set, branch, call a rule, return from
// it. Rules may call each other in circles, as JSON values do.
//
// Networks are built from the end: a Piece, given the node that follows, answers the node it begins with.
#pragma once

#include <bitset>
#include <functional>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace llmd::engine {

using ByteSet = std::bitset<256>;

struct GrammarNode {
  enum class Kind { Bytes, Branch, Call, Return };
  Kind kind = Kind::Return;
  ByteSet bytes;              // Bytes
  int rule = 0;               // Call
  int next = 0;               // Bytes, Call
  std::vector<int> branches;  // Branch
};

struct Grammar {
  std::vector<GrammarNode> nodes;  // the first is the one Return
  std::vector<int> rules;          // first node of each; rule 0 is the whole language
};

class GrammarBuilder {
 public:
  using Piece = std::function<int(int next)>;

  GrammarBuilder();

  Piece nothing() const;
  Piece one_of(const ByteSet& set);
  Piece text(std::string_view text);
  Piece sequence(std::vector<Piece> pieces) const;
  Piece either(std::vector<Piece> pieces);
  Piece optional(Piece piece);
  // `most` < 0: without end.
  Piece repeat(Piece piece, int least, int most);
  Piece call(int rule);
  // One character beyond ASCII, as well-formed UTF-8.
  Piece beyond_ascii();

  int declare_rule();
  void define_rule(int rule, const Piece& piece);

  // ResourceExhausted when the network has grown too large to build.
  Result<Grammar> finish(const Piece& whole) &&;

 private:
  int add(GrammarNode node);

  Grammar grammar_;
  int beyond_ascii_ = -1;
};

ByteSet byte_range(int first, int last);
ByteSet bytes_of(std::string_view text);

}  // namespace llmd::engine
