#include "engine/sim/sim_text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "engine/core/random.h"

namespace llmd::engine::sim {
namespace {

constexpr std::array<std::string_view, 12> kSentences{
    "The lighthouse keeper counted the ships twice and wrote the larger number down. ",
    "Rain had fallen since noon, and the gutters sang like kettles. ",
    "A good answer is short, but a true answer is as long as it must be. ",
    "Nobody had opened the blue door in years, so it opened slowly. ",
    "She measured the table, then the room, and finally her patience. ",
    "Between two harbours there is always one more island than the map shows. ",
    "The machine hummed a note that only the cat could name. ",
    "He planted seven trees and promised each of them a different spring. ",
    "Letters arrived late that winter, yet all of them arrived. ",
    "If the bridge holds for one cart, it will hold for the next as well. ",
    "They painted the fence green because the garden had asked for it. ",
    "Tomorrow the market moves to the old square, weather permitting. "};

// Under a limit: one of six equal ranges of it, drawn with these weights in percent. Without one: normal, 40
// and 20.
int answer_length(std::uint64_t seed, int limit, bool limited) {
  const double unit = random_unit(seed, 1);
  const double other = random_unit(seed, 2);
  if (!limited) {
    const double normal = std::sqrt(-2 * std::log(1 - unit)) * std::cos(2 * std::numbers::pi * other);
    return std::clamp(static_cast<int>(std::lround(40 + 20 * normal)), 1, limit);
  }
  constexpr std::array<double, 6> kShares{0.20, 0.30, 0.20, 0.05, 0.10, 0.15};
  double below = 0;
  for (std::size_t i = 0; i < kShares.size(); ++i) {
    if (unit < below + kShares[i] || i + 1 == kShares.size()) {
      const double position = (static_cast<double>(i) + other) / static_cast<double>(kShares.size());
      return std::clamp(1 + static_cast<int>(position * limit), 1, limit);
    }
    below += kShares[i];
  }
  return limit;
}

}  // namespace

std::vector<Token> script(const GenerationRequest& request, Mode mode, std::uint64_t seed,
                          const tokenizer::Tokenizer& tokenizer) {
  const int limit = request.params.max_tokens;
  std::vector<Token> tokens;
  if (mode == Mode::Echo && !request.echo.empty()) {
    tokens = request.echo;
    const auto wanted = static_cast<std::size_t>(limit);
    if (tokens.size() > wanted || !request.params.ignore_eos) {
      tokens.resize(std::min(tokens.size(), wanted));
      return tokens;
    }
    while (tokens.size() < wanted) {
      tokens.push_back(tokens[tokens.size() - request.echo.size()]);
    }
    return tokens;
  }
  const int drawn = answer_length(seed, limit, request.limited);
  const auto length = static_cast<std::size_t>(
      request.params.ignore_eos ? limit : std::max(drawn, request.params.min_tokens));
  for (std::uint64_t i = 0; tokens.size() < length; ++i) {
    const std::string_view sentence = kSentences[random_bits(seed, 16 + i) % kSentences.size()];
    const std::vector<Token> more = tokenizer.encode(sentence, {});
    tokens.insert(tokens.end(), more.begin(), more.end());
  }
  tokens.resize(length);
  return tokens;
}

}  // namespace llmd::engine::sim
