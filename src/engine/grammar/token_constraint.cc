#include "engine/grammar/token_constraint.h"

#include <algorithm>
#include <limits>

namespace llmd::engine {

const std::vector<TokenVocabulary::Entry>& TokenVocabulary::entries() const {
  std::call_once(made_, [this] {
    for (Token token = 0; token < tokenizer_->vocab_size(); ++token) {
      std::string bytes = tokenizer_->is_special(token) ? "" : tokenizer_->piece(token);
      if (!bytes.empty()) {
        entries_.push_back({std::move(bytes), token});
      }
    }
    std::ranges::sort(entries_, {}, &Entry::bytes);
    for (std::size_t i = 1; i < entries_.size(); ++i) {
      const std::string& before = entries_[i - 1].bytes;
      const std::string& here = entries_[i].bytes;
      entries_[i].shared = static_cast<std::size_t>(std::ranges::mismatch(before, here).in1 - before.begin());
    }
  });
  return entries_;
}

TokenConstraint::TokenConstraint(Grammar grammar, std::shared_ptr<const TokenVocabulary> vocabulary)
    : automaton_(std::move(grammar)), vocabulary_(std::move(vocabulary)) {}

TokenConstraint::State TokenConstraint::advance(State state, Token token) {
  for (const char c : vocabulary_->tokenizer().piece(token)) {
    state = automaton_.next(state, static_cast<unsigned char>(c));
  }
  return state;
}

// Walks through the dictionary: what an entry shares with the one before has been walked already.
const std::vector<bool>& TokenConstraint::allowed(State state) {
  const auto index = static_cast<std::size_t>(state);
  if (index < masks_.size() && !masks_[index].empty()) {
    return masks_[index];
  }
  masks_.resize(std::max(masks_.size(), index + 1));
  std::vector<bool> mask(static_cast<std::size_t>(vocabulary_->tokenizer().vocab_size()));
  std::vector<State> path = {state};  // states after 0, 1, 2 .. bytes; ends where the walk died
  bool any = false;
  for (const TokenVocabulary::Entry& entry : vocabulary_->entries()) {
    path.resize(std::min(path.size(), entry.shared + 1));
    if (path.back() == Automaton::kDead) {
      continue;
    }
    while (path.size() <= entry.bytes.size() && path.back() != Automaton::kDead) {
      path.push_back(automaton_.next(path.back(), static_cast<unsigned char>(entry.bytes[path.size() - 1])));
    }
    if (path.back() != Automaton::kDead) {
      mask[static_cast<std::size_t>(entry.token)] = true;
      any = true;
    }
  }
  if (automaton_.accepts(state) || !any) {
    for (const Token token : vocabulary_->tokenizer().end_tokens()) {
      mask[static_cast<std::size_t>(token)] = true;
    }
  }
  return masks_[index] = std::move(mask);
}

void TokenConstraint::forbid_others(State state, std::span<float> logits) {
  const std::vector<bool>& mask = allowed(state);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (i >= mask.size() || !mask[i]) {
      logits[i] = -std::numeric_limits<float>::infinity();
    }
  }
}

}  // namespace llmd::engine
