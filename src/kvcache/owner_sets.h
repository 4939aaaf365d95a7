// Bit sets for blocks that many endpoints hold: one plane of bits per tier. Sets are numbered, live in chunks
// that never move, and are reused oldest first, so that a reader who still looks at a set that was given back
// most likely sees it unchanged (and in any case finds out: see OwnerTable).
//
// take(), give_back(), add(), remove(): the writer. The words are atomic; readers load them with acquire.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

namespace llmd::kvcache {

class OwnerSets {
 public:
  using Word = std::atomic<std::uint64_t>;

  OwnerSets(std::size_t max_endpoints, std::size_t tiers)
      : plane_words_((max_endpoints + 63) / 64),
        tiers_(tiers),
        chunks_(new std::atomic<Word*>[kMaxChunks]()) {}
  ~OwnerSets() {
    for (std::size_t i = 0; i < kMaxChunks; ++i) {
      delete[] chunks_[i].load(std::memory_order_relaxed);
    }
  }
  OwnerSets(const OwnerSets&) = delete;

  std::size_t plane_words() const { return plane_words_; }
  std::size_t tiers() const { return tiers_; }
  std::size_t words() const { return plane_words_ * tiers_; }

  // An empty set; nullopt when there are too many.
  std::optional<std::uint32_t> take() {
    // Some rest before reuse, unless there is nothing else.
    if (free_.size() < kResting && made_ < kMaxChunks * kChunkSets) {
      if (made_ % kChunkSets == 0) {
        chunks_[made_ / kChunkSets].store(new Word[kChunkSets * words()](), std::memory_order_release);
        bytes_.fetch_add(kChunkSets * words() * sizeof(Word), std::memory_order_relaxed);
      }
      return static_cast<std::uint32_t>(made_++);
    }
    if (free_.empty()) {
      return std::nullopt;
    }
    const std::uint32_t set = free_.front();
    free_.pop_front();
    Word* const word = at(set);
    std::for_each(word, word + words(), [](Word& w) { w.store(0, std::memory_order_release); });
    return set;
  }
  void give_back(std::uint32_t set) { free_.push_back(set); }

  Word* at(std::uint32_t set) const {
    Word* const chunk = chunks_[set / kChunkSets].load(std::memory_order_acquire);
    return chunk + (set % kChunkSets) * words();
  }
  Word& word(std::uint32_t set, std::size_t tier, std::size_t slot) const {
    return at(set)[tier * plane_words_ + slot / 64];
  }
  std::size_t memory_bytes() const {
    return bytes_.load(std::memory_order_relaxed) + kMaxChunks * sizeof(std::atomic<Word*>);
  }

 private:
  static constexpr std::size_t kChunkSets = 1024;
  static constexpr std::size_t kMaxChunks = 8192;
  static constexpr std::size_t kResting = 256;

  std::size_t plane_words_;
  std::size_t tiers_;
  std::unique_ptr<std::atomic<Word*>[]> chunks_;
  std::size_t made_ = 0;
  std::deque<std::uint32_t> free_;
  std::atomic<std::size_t> bytes_ = 0;
};

}  // namespace llmd::kvcache
