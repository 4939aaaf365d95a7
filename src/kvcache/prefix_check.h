// PrefixCheck: does the prefix index tell the truth? After each answer the prediction is compared with what
// the engine reports (usage.prompt_tokens_details.cached_tokens), per endpoint.
//
//   switch (check.record(slot, {.prompt_tokens = 900, .predicted = 768, .reported = 0})) …
//
// What is noticed, and what follows:
//   * predictions where nothing is found, several times in a row: the engine was restarted, or hashes are
//   made with
//     another seed, block size or tokenizer. First answer: Heal, forget the endpoint's blocks and, where
//     engines report them, ask again. If that does not help, the endpoint is distrusted: trust() is 0 until a
//     prediction comes true.
//   * less found than predicted, many times in a row: blocks left unnoticed. Heal.
//   * blocks found that nobody predicted, several times in a row: events are lost, or keys disagree. Heal
//   once; after that
//     the index is blind for this endpoint, which costs hits but does no harm.
//   * reports that have a common divisor which the configured block size does not divide: the engine's block
//   size is
//     another (suspected_block_size).
// Differences of two blocks, or a tenth, do not count: engines compute the end of a prompt again, and text is
// cut into estimated tokens.
//
// Threads: any; a mutex, held for nanoseconds. distrusts() takes it only while some endpoint is distrusted.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

namespace llmd::kvcache {

class PrefixCheck {
 public:
  struct Options {
    std::uint32_t block_size = 16;  // tokens
    // Predictions are exact multiples of the block size (keys from tokens), so reports can reveal the
    // engine's.
    bool exact = true;
    std::uint32_t strikes = 5;  // predictions in a row of which nothing is found, or hits nobody predicted
    std::uint32_t stale_strikes = 20;  // predictions in a row of which a part is found
  };
  struct Sample {
    std::uint32_t prompt_tokens = 0;
    std::uint32_t predicted = 0;  // tokens
    std::uint32_t reported = 0;   // tokens
  };
  enum class Action { None, Heal };
  enum class State {
    Trusted,
    Healing,     // was told to heal, no good prediction since
    Distrusted,  // healing did not help
    Blind,       // healing did not help; the engine has more than is known
  };
  static constexpr std::size_t kStates = 4;
  struct Stats {
    State state = State::Trusted;
    std::uint64_t samples = 0;
    std::uint64_t agreed = 0;
    std::uint64_t missing = 0;  // nothing found of what was predicted
    std::uint64_t less = 0;
    std::uint64_t unforeseen = 0;  // more found than predicted
    std::uint64_t predicted_tokens = 0;
    std::uint64_t reported_tokens = 0;
    std::uint64_t heals = 0;
    std::uint32_t suspected_block_size = 0;  // 0: no reason to doubt the configured one
    double trust = 1;
  };

  // Of all endpoints; the counts go on when one of them leaves.
  struct Summary {
    std::uint64_t agreed = 0;
    std::uint64_t missing = 0;
    std::uint64_t less = 0;
    std::uint64_t unforeseen = 0;
    std::uint64_t heals = 0;
    std::array<std::uint32_t, kStates> endpoints{};  // by state; those that have been checked at least once
    std::uint32_t other_block_sizes = 0;             // endpoints with a suspected_block_size
  };

  explicit PrefixCheck(Options options) : options_(options) {}

  // `endpoint` is a slot of the index that made the prediction.
  Action record(std::size_t endpoint, const Sample& sample);
  // Between 0 (predictions are worth nothing) and 1: a moving average of how much of what was predicted came
  // true.
  double trust(std::size_t endpoint) const;
  // What is predicted for this endpoint must not attract requests. For hot paths.
  bool distrusts(std::size_t endpoint) const;
  Summary summary() const;
  Stats stats(std::size_t endpoint) const;
  void forget(std::size_t endpoint);  // the slot gets another endpoint

 private:
  struct Endpoint {
    Stats stats;
    std::uint32_t missing_in_a_row = 0;
    std::uint32_t less_in_a_row = 0;
    std::uint32_t unforeseen_in_a_row = 0;
    std::uint32_t divisor = 0;  // of all reports
    std::uint32_t reports = 0;
  };

  void learn_block_size(Endpoint& endpoint, std::uint32_t reported) const;
  Action strike(Endpoint& endpoint, State if_healed_before);
  void set_state(Endpoint& endpoint, State state);

  Options options_;
  mutable std::mutex mutex_;  // guards endpoints_
  std::vector<Endpoint> endpoints_;
  Summary counted_;  // without `endpoints` and `other_block_sizes`; guarded by mutex_
  std::atomic<std::uint32_t> distrusted_{0};
};

std::string_view to_string(PrefixCheck::State state);

}  // namespace llmd::kvcache
