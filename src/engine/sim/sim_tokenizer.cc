#include "engine/sim/sim_tokenizer.h"

#include <algorithm>
#include <limits>

namespace llmd::engine::sim {
namespace {

using tokenizer::Token;

// Bit 30 marks four characters of seven bits; else bits 24 and 25 count the bytes below.
constexpr Token kAscii = 1 << 30;

constexpr int kCountShift = 24;

Token pack(std::string_view bytes) {
  Token token = bytes.size() == 4 ? kAscii : static_cast<Token>(bytes.size()) << kCountShift;
  const unsigned width = bytes.size() == 4 ? 7 : 8;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    token |= static_cast<Token>(static_cast<unsigned char>(bytes[i])) << (width * i);
  }
  return token;
}

}  // namespace

std::vector<Token> SimTokenizer::encode(std::string_view text, const tokenizer::EncodeOptions&) const {
  std::vector<Token> tokens;
  tokens.reserve(text.size() / 4 + 3);
  while (!text.empty()) {
    const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
    const std::size_t n = text.size() >= 4 && std::ranges::all_of(text.substr(0, 4), is_ascii)
                              ? 4
                              : std::min<std::size_t>(3, text.size());
    tokens.push_back(pack(text.substr(0, n)));
    text.remove_prefix(n);
  }
  return tokens;
}

std::string SimTokenizer::piece(Token token, bool) const {
  std::string text;
  const bool ascii = (token & kAscii) != 0;
  const unsigned count = ascii ? 4 : (static_cast<unsigned>(token) >> kCountShift) & 3U;
  for (unsigned i = 0; i < count; ++i) {
    text += static_cast<char>(ascii ? (token >> (7 * i)) & 0x7F : (token >> (8 * i)) & 0xFF);
  }
  return text;
}

std::string SimTokenizer::decode(std::span<const Token> tokens, bool skip_special) const {
  std::string text;
  for (const Token token : tokens) {
    text += piece(token, skip_special);
  }
  return text;
}

int SimTokenizer::vocab_size() const {
  return std::numeric_limits<int>::max();
}

std::optional<Token> SimTokenizer::token_of(std::string_view text) const {
  const std::vector<Token> tokens = encode(text, {});
  return tokens.size() == 1 ? std::optional(tokens.front()) : std::nullopt;
}

}  // namespace llmd::engine::sim
