// A tokenizer that costs nothing and loses nothing: four ASCII characters, or up to three bytes of anything
// else, per token. Its ids carry the bytes themselves, so that no vocabulary is needed.
#pragma once

#include "tokenizer/tokenizer.h"

namespace llmd::engine::sim {

class SimTokenizer final : public tokenizer::Tokenizer {
 public:
  std::vector<tokenizer::Token> encode(std::string_view text,
                                       const tokenizer::EncodeOptions& options) const override;
  std::string piece(tokenizer::Token token, bool skip_special) const override;
  std::string decode(std::span<const tokenizer::Token> tokens, bool skip_special) const override;
  int vocab_size() const override;
  bool is_special(tokenizer::Token) const override { return false; }
  std::optional<tokenizer::Token> token_of(std::string_view piece) const override;
  std::optional<tokenizer::Token> bos() const override { return std::nullopt; }
  const std::vector<tokenizer::Token>& end_tokens() const override { return none_; }
  const std::string& chat_template() const override { return no_template_; }

 private:
  std::vector<tokenizer::Token> none_;
  std::string no_template_;
};

}  // namespace llmd::engine::sim
