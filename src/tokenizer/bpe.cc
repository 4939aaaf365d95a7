#include "tokenizer/bpe.h"

#include <algorithm>
#include <bit>
#include <queue>

namespace llmd::tokenizer {
namespace {

constexpr std::uint64_t kNoMerge = ~std::uint64_t{0};
constexpr std::uint64_t kFree = ~std::uint64_t{0};
constexpr std::size_t kShortWord = 96;  // bytes up to which scanning all pairs beats a heap

std::uint64_t key_of(Token left, Token right) {
  return (std::uint64_t{static_cast<std::uint32_t>(left)} << 32) | static_cast<std::uint32_t>(right);
}

std::size_t hash_of(std::uint64_t key) {
  key *= 0x9E3779B97F4A7C15U;
  return static_cast<std::size_t>(key ^ (key >> 32));
}

}  // namespace

void Bpe::reserve(std::size_t pieces, std::size_t merges) {
  ids_.reserve(pieces);
  table_.assign(std::bit_ceil(merges * 2 + 16), Slot{kFree, 0});
}

Token Bpe::add_piece(std::string piece, bool mergeable) {
  const auto token = static_cast<Token>(pieces_.size());
  pieces_.push_back(std::move(piece));
  if (mergeable)
    ids_.emplace(pieces_.back(), token);
  size_ = token + 1;
  return token;
}

Token Bpe::intern(std::string_view piece) {
  if (const auto known = ids_.find(piece); known != ids_.end())
    return known->second;
  const auto token = static_cast<Token>(pieces_.size());
  pieces_.emplace_back(piece);
  ids_.emplace(pieces_.back(), token);
  return token;
}

void Bpe::add_merge(std::string_view left, std::string_view right) {
  thread_local std::string whole;  // a buffer, kept for its capacity
  whole.assign(left).append(right);
  const auto a = intern(left);
  const auto b = intern(right);
  insert_pair(key_of(a, b), (std::uint64_t{merges_++} << 32) | static_cast<std::uint32_t>(intern(whole)));
}

void Bpe::insert_pair(std::uint64_t key, std::uint64_t value) {
  if (merges_ * 2 > table_.size()) {
    auto old = std::exchange(table_,
                             std::vector<Slot>(std::max<std::size_t>(16, table_.size() * 2), Slot{kFree, 0}));
    for (const auto& slot : old) {
      if (slot.key != kFree)
        insert_pair(slot.key, slot.value);
    }
  }
  const auto mask = table_.size() - 1;
  auto at = hash_of(key) & mask;
  while (table_[at].key != kFree && table_[at].key != key)
    at = (at + 1) & mask;
  if (table_[at].key == kFree)
    table_[at] = {key, value};  // a repeated merge keeps its first rank
}

void Bpe::finish() {
  if (table_.empty())
    table_.assign(16, Slot{kFree, 0});
  for (std::size_t byte = 0; byte < bytes_.size(); ++byte) {
    const char character = static_cast<char>(byte);
    bytes_[byte] = find(std::string_view(&character, 1)).value_or(-1);
  }
}

std::optional<Token> Bpe::find(std::string_view piece) const {
  const auto found = ids_.find(piece);
  if (found == ids_.end() || found->second >= size_)
    return std::nullopt;
  return found->second;
}

std::uint64_t Bpe::pair(Token left, Token right) const {
  const auto key = key_of(left, right);
  const auto mask = table_.size() - 1;
  for (auto at = hash_of(key) & mask; table_[at].key != kFree; at = (at + 1) & mask) {
    if (table_[at].key == key)
      return table_[at].value;
  }
  return kNoMerge;
}

void Bpe::encode(std::string_view word, std::vector<Token>& out, Scratch& scratch) const {
  if (ignore_merges_) {
    if (const auto whole = find(word)) {
      out.push_back(*whole);
      return;
    }
  }
  auto& symbols = scratch.symbols;
  symbols.clear();
  for (const char character : word) {
    auto symbol = bytes_[static_cast<unsigned char>(character)];
    if (symbol < 0)
      symbol = unknown_.value_or(-1);
    if (symbol >= 0)
      symbols.push_back(symbol);
  }
  if (symbols.size() > kShortWord) {
    merge_long(scratch);
  } else if (symbols.size() > 1) {
    merge_short(scratch);
  }
  for (const auto symbol : symbols)
    emit(symbol, out);
}

void Bpe::emit(Token symbol, std::vector<Token>& out) const {
  if (symbol < size_) {
    out.push_back(symbol);
    return;
  }
  for (const char character : pieces_[static_cast<std::size_t>(symbol)]) {
    const auto byte = bytes_[static_cast<unsigned char>(character)];
    if (byte >= 0 && byte < size_)
      out.push_back(byte);
  }
}

// The leftmost pair of the lowest rank merges first, until none is left.
void Bpe::merge_short(Scratch& scratch) const {
  auto& symbols = scratch.symbols;
  auto& pairs = scratch.pairs;
  pairs.resize(symbols.size() - 1);
  for (std::size_t i = 0; i < pairs.size(); ++i)
    pairs[i] = pair(symbols[i], symbols[i + 1]);
  while (!pairs.empty()) {
    // Ranks are unique per merge, so equal values are the same merge and the first one is the leftmost.
    const auto best = std::ranges::min_element(pairs);
    if (*best == kNoMerge)
      return;
    const auto at = static_cast<std::size_t>(best - pairs.begin());
    symbols[at] = static_cast<Token>(*best & 0xFFFFFFFFU);
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    pairs.erase(best);
    if (at > 0)
      pairs[at - 1] = pair(symbols[at - 1], symbols[at]);
    if (at < pairs.size())
      pairs[at] = pair(symbols[at], symbols[at + 1]);
  }
}

// The same with a heap and a linked list: n log n for words without end (base64, one long line of Chinese).
void Bpe::merge_long(Scratch& scratch) const {
  auto& symbols = scratch.symbols;
  struct Candidate {
    std::uint64_t merge;
    std::uint32_t at;
    Token left, right;
    bool operator>(const Candidate& other) const {
      return merge != other.merge ? merge > other.merge : at > other.at;
    }
  };
  const auto count = static_cast<std::uint32_t>(symbols.size());
  const auto none = count;
  std::vector<std::uint32_t> next(count), previous(count);
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto offer = [&](std::uint32_t at) {
    if (at == none || next[at] == none)
      return;
    const auto merge = pair(symbols[at], symbols[next[at]]);
    if (merge != kNoMerge)
      queue.push({merge, at, symbols[at], symbols[next[at]]});
  };
  for (std::uint32_t i = 0; i < count; ++i) {
    next[i] = i + 1;
    previous[i] = i == 0 ? none : i - 1;
  }
  for (std::uint32_t i = 0; i < count; ++i)
    offer(i);
  while (!queue.empty()) {
    const auto candidate = queue.top();
    queue.pop();
    const auto right = next[candidate.at];
    // Stale when one of its sides has merged with something else since.
    if (symbols[candidate.at] != candidate.left || right == none || symbols[right] != candidate.right)
      continue;
    symbols[candidate.at] = static_cast<Token>(candidate.merge & 0xFFFFFFFFU);
    symbols[right] = -1;
    next[candidate.at] = next[right];
    if (next[right] != none)
      previous[next[right]] = candidate.at;
    offer(previous[candidate.at]);
    offer(candidate.at);
  }
  std::erase(symbols, -1);
}

}  // namespace llmd::tokenizer
