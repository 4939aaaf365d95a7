// What happens to text before BPE: normalisation, then splitting into words. Both are lists of steps, as
// tokenizer.json describes them. Immutable after building; any thread may run them.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/regex.h"

namespace llmd::tokenizer {

enum class SplitBehaviour { Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous };

class PreTokenizer {
 public:
  // Every match becomes a word of its own (or what `behaviour` says); the text between matches too. `invert`
  // swaps matches and gaps.
  void add_split(Regex regex, SplitBehaviour behaviour, bool invert);
  // Each word gets a leading space unless it has one.
  void add_prefix_space();

  // `storage` keeps words that are not part of `text`.
  std::vector<std::string_view> split(std::string_view text, std::deque<std::string>& storage) const;

 private:
  struct Step {
    std::optional<Regex> regex;  // none: the prefix space
    SplitBehaviour behaviour = SplitBehaviour::Isolated;
    bool invert = false;
  };
  std::vector<Step> steps_;
};

class Normalizer {
 public:
  using Step = std::function<std::string(std::string)>;
  void add(Step step) { steps_.push_back(std::move(step)); }
  bool empty() const { return steps_.empty(); }
  std::string apply(std::string text) const;

 private:
  std::vector<Step> steps_;
};

// Unicode normalisation forms; text that is not valid UTF-8 stays as it is.
enum class Form { Nfc, Nfd, Nfkc, Nfkd };
std::string unicode_normalized(std::string text, Form form);
std::string lower_case(const std::string& text);

}  // namespace llmd::tokenizer
