// Which tokens may come next so that the bytes of all tokens match a grammar.
//
// Threads: a TokenVocabulary may be shared by all; a TokenConstraint belongs to one thread at a time (it is
// made where requests are read and used by the engine's thread).
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "engine/grammar/automaton.h"
#include "engine/model/model.h"
#include "tokenizer/tokenizer.h"

namespace llmd::engine {

// The bytes of all tokens, in the order of a dictionary. Made on first use.
class TokenVocabulary {
 public:
  explicit TokenVocabulary(std::shared_ptr<const tokenizer::Tokenizer> tokenizer)
      : tokenizer_(std::move(tokenizer)) {}

  struct Entry {
    std::string bytes;
    Token token = 0;
    std::size_t shared = 0;  // first bytes that are those of the entry before
  };
  const std::vector<Entry>& entries() const;  // without special tokens
  const tokenizer::Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  const std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  mutable std::once_flag made_;
  mutable std::vector<Entry> entries_;
};

class TokenConstraint {
 public:
  using State = Automaton::State;

  TokenConstraint(Grammar grammar, std::shared_ptr<const TokenVocabulary> vocabulary);

  State start() const { return automaton_.start(); }
  State advance(State state, Token token);
  // The text is whole and cannot go on.
  bool complete(State state) const { return automaton_.complete(state); }
  // Sets the logits of all tokens that must not follow to minus infinity. A text that may end here may end;
  // where nothing else is possible it must.
  void forbid_others(State state, std::span<float> logits);

 private:
  const std::vector<bool>& allowed(State state);

  Automaton automaton_;
  const std::shared_ptr<const TokenVocabulary> vocabulary_;
  std::vector<std::vector<bool>> masks_;  // by state; empty: not made yet
};

}  // namespace llmd::engine
