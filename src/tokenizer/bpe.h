// Byte-pair encoding of one word: bytes to vocabulary ids by the ranked merges.
//
// Filled by add_piece() for every vocabulary entry, then add_merge() in rank order, then finish(); immutable
// afterwards, and any thread may encode.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace llmd::tokenizer {

class Bpe {
 public:
  void reserve(std::size_t pieces, std::size_t merges);
  // Ids count up from 0. A piece that is not `mergeable` (a control token) has its id and text, and no word
  // becomes it.
  Token add_piece(std::string piece, bool mergeable);
  void add_merge(std::string_view left, std::string_view right);
  void finish();
  // A word that is a vocabulary entry as a whole skips the merges.
  void set_ignore_merges(bool ignore) { ignore_merges_ = ignore; }
  // For bytes that the vocabulary lacks; without one they vanish.
  void set_unknown(std::optional<Token> token) { unknown_ = token; }

  // Working memory of one encode, to be used again for the next word.
  struct Scratch {
    std::vector<Token> symbols;
    std::vector<std::uint64_t> pairs;
  };
  void encode(std::string_view word, std::vector<Token>& out, Scratch& scratch) const;

  int size() const { return size_; }
  const std::string& piece(Token token) const { return pieces_[static_cast<std::size_t>(token)]; }
  std::optional<Token> find(std::string_view piece) const;

 private:
  Token intern(std::string_view piece);
  std::uint64_t pair(Token left, Token right) const;  // rank << 32 | merged; kNoMerge
  void insert_pair(std::uint64_t key, std::uint64_t value);
  void merge_short(Scratch& scratch) const;
  void merge_long(Scratch& scratch) const;
  void emit(Token symbol, std::vector<Token>& out) const;

  // The vocabulary, then pieces that only merges know: they take part, and fall apart into bytes at the end.
  std::deque<std::string> pieces_;
  std::unordered_map<std::string_view, Token> ids_;
  int size_ = 0;
  std::array<Token, 256> bytes_{};  // -1: not in the vocabulary
  std::optional<Token> unknown_;
  bool ignore_merges_ = false;
  std::uint32_t merges_ = 0;
  struct Slot {
    std::uint64_t key;
    std::uint64_t value;
  };
  std::vector<Slot> table_;  // open addressing, a power of two
};

}  // namespace llmd::tokenizer
