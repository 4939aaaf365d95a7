// One token per byte, then end tokens: 256 is <s>, 257 is </s>. A vocabulary smaller than 256 takes bytes
// modulo it.
#pragma once

#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace llmd::testing {

class ByteTokenizer final : public tokenizer::Tokenizer {
 public:
  explicit ByteTokenizer(int vocab_size = 258, std::vector<tokenizer::Token> end_tokens = {257})
      : vocab_size_(vocab_size), end_tokens_(std::move(end_tokens)) {}

  std::vector<tokenizer::Token> encode(std::string_view text,
                                       const tokenizer::EncodeOptions&) const override {
    std::vector<tokenizer::Token> tokens;
    for (const char c : text) {
      tokens.push_back(static_cast<unsigned char>(c) % vocab_size_);
    }
    return tokens;
  }
  std::string piece(tokenizer::Token token, bool skip_special) const override {
    if (token >= 256) {
      return skip_special ? "" : token == 256 ? "<s>" : "</s>";
    }
    return {static_cast<char>(vocab_size_ < 256 ? 'a' + token % 26 : token)};
  }
  std::string decode(std::span<const tokenizer::Token> tokens, bool skip_special) const override {
    std::string text;
    for (const tokenizer::Token token : tokens) {
      text += piece(token, skip_special);
    }
    return text;
  }
  int vocab_size() const override { return vocab_size_; }
  bool is_special(tokenizer::Token token) const override { return token >= 256; }
  std::optional<tokenizer::Token> token_of(std::string_view) const override { return std::nullopt; }
  std::optional<tokenizer::Token> bos() const override { return std::nullopt; }
  const std::vector<tokenizer::Token>& end_tokens() const override { return end_tokens_; }
  const std::string& chat_template() const override { return chat_template_; }

 private:
  int vocab_size_;
  std::vector<tokenizer::Token> end_tokens_;
  std::string chat_template_;
};

}  // namespace llmd::testing
