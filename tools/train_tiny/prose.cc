// Plain text for the completions API: little stories from a grammar, and sentences of facts.
#include <array>
#include <string>

#include <fmt/format.h>

#include "train_tiny/corpus.h"

namespace llmd::train_tiny {
namespace {

constexpr std::array<const char*, 10> kHeroes{"fox",  "cat",  "bear", "bird",  "mouse",
                                              "king", "girl", "boy",  "robot", "dog"};
constexpr std::array<const char*, 6> kKinds{"small", "old", "happy", "brave", "clever", "quiet"};
constexpr std::array<const char*, 8> kPlaces{"by the river", "in the forest",  "on a hill",
                                             "near the sea", "in a big house", "under the bridge",
                                             "in the city",  "at the lake"};
constexpr std::array<const char*, 8> kDeeds{"went for a walk",   "looked at the moon", "baked some bread",
                                            "sang a song",       "read a book",        "planted a tree",
                                            "swam in the water", "told a story"};
constexpr std::array<const char*, 6> kFinds{"a golden key", "a red apple",   "an old map",
                                            "a new friend", "a silver coin", "a lost letter"};
constexpr std::array<const char*, 4> kEndings{"And they lived happily ever after.",
                                              "Then everybody went home.", "It was a very good day.",
                                              "And the stars came out."};

std::string story(Random& random) {
  const char* hero = random.pick(kHeroes);
  std::string text = fmt::format("Once upon a time there was a {} {} who lived {}. ", random.pick(kKinds),
                                 hero, random.pick(kPlaces));
  for (int i = random.between(1, 3); i > 0; --i) {
    text += fmt::format("Every day the {} {}. ", hero, random.pick(kDeeds));
  }
  return text + fmt::format("One day the {} found {}. {}", hero, random.pick(kFinds), random.pick(kEndings));
}

std::string facts(Random& random) {
  std::string text;
  for (int i = random.between(1, 4); i > 0; --i) {
    const auto& [country, city] = random_capital(random);
    text += fmt::format("{}The capital of {} is {}.", text.empty() ? "" : " ", country, city);
  }
  return text;
}

std::string numbers(Random& random) {
  const int first = random.between(1, 10);
  std::string text = fmt::format("{}", first);
  for (int i = first + 1; i <= first + 20; ++i) {
    text += fmt::format(" {}", i);
  }
  return text;
}

}  // namespace

std::string make_prose(Random& random) {
  switch (random.below(5)) {
    case 0:
      return facts(random);
    case 1:
      return numbers(random);
    default:
      return story(random);
  }
}

}  // namespace llmd::train_tiny
