// What the sequence number of a live message means, given the ones before it. Pure.
#pragma once

#include <cstdint>
#include <optional>

namespace llmd::kvcache {

class SequenceTracker {
 public:
  enum class Verdict {
    First,      // nothing was seen before
    Next,       // the expected one
    Duplicate,  // seen already, for example in a replay that ran beside it
    Gap,        // missing() messages were lost
    Restarted,  // numbers began again: another process publishes now
  };

  Verdict judge(std::uint64_t sequence) const {
    if (!last_) {
      return Verdict::First;
    }
    if (sequence == *last_ + 1) {
      return Verdict::Next;
    }
    if (sequence > *last_) {
      return Verdict::Gap;
    }
    // A live stream only goes up. What a replay brought in advance of it comes once more.
    return !last_live_ || sequence >= *last_live_ ? Verdict::Duplicate : Verdict::Restarted;
  }
  std::uint64_t missing(std::uint64_t sequence) const {
    return last_ && sequence > *last_ ? sequence - *last_ - 1 : 0;
  }

  void live(std::uint64_t sequence) {
    last_live_ = sequence;
    last_ = last_ && *last_ > sequence ? *last_ : sequence;
  }
  void replayed(std::uint64_t sequence) { last_ = sequence; }
  void forget() { *this = SequenceTracker(); }

  const std::optional<std::uint64_t>& last() const { return last_; }

 private:
  std::optional<std::uint64_t> last_;       // applied, however it came
  std::optional<std::uint64_t> last_live_;  // seen live
};

}  // namespace llmd::kvcache
