// The one implementation of Tokenizer: byte-level BPE with added tokens, normaliser and pre-tokeniser. The
// readers of GGUF and tokenizer.json fill the parts.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "json/value.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/pipeline.h"
#include "tokenizer/tokenizer.h"

namespace llmd::modelfile {
class GgufFile;
}

namespace llmd::tokenizer {

struct TokenizerParts {
  Bpe bpe;                       // finished; its pieces are the text of every token
  std::vector<bool> special;     // by id; shorter than the vocabulary means false
  AddedTokens raw_added;         // searched before normalisation
  AddedTokens normalized_added;  // ... and after it
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::vector<Token> prefix;  // what add_special_tokens puts around the text
  std::vector<Token> suffix;
  std::optional<Token> bos;
  std::vector<Token> end_tokens;  // eos first
  std::string chat_template;
};

class BpeTokenizer final : public Tokenizer {
 public:
  explicit BpeTokenizer(TokenizerParts parts) : parts_(std::move(parts)) {}

  std::vector<Token> encode(std::string_view text, const EncodeOptions& options) const override;
  std::string piece(Token token, bool skip_special) const override;
  std::string decode(std::span<const Token> tokens, bool skip_special) const override;
  int vocab_size() const override { return parts_.bpe.size(); }
  bool is_special(Token token) const override;
  std::optional<Token> token_of(std::string_view piece) const override;
  std::optional<Token> bos() const override { return parts_.bos; }
  const std::vector<Token>& end_tokens() const override { return parts_.end_tokens; }
  const std::string& chat_template() const override { return parts_.chat_template; }

 private:
  struct Run;
  void encode_raw(std::string_view text, Run& run) const;
  void encode_normalized(std::string_view text, Run& run) const;
  void encode_words(std::string_view text, Run& run) const;

  const TokenizerParts parts_;
};

// Adds the id once; out-of-range ids are ignored.
void add_end_token(TokenizerParts& parts, std::int64_t id);
// Tokens that end a turn by their well-known names ("<|eot_id|>", "<|im_end|>", ...), when they are control
// tokens.
void add_known_end_tokens(TokenizerParts& parts);

Result<TokenizerParts> parts_from_gguf(const modelfile::GgufFile& file);
// `text` of a tokenizer.json.
Result<TokenizerParts> parts_from_json(std::string_view text);
// What tokenizer_config.json and generation_config.json say on top: bos, eos, chat template.
Result<void> apply_tokenizer_config(TokenizerParts& parts, const json::Object& config);
void apply_generation_config(TokenizerParts& parts, const json::Object& config);
std::optional<Token> find_token(const TokenizerParts& parts, std::string_view content);

// The splits of llama.cpp's tokenizer.ggml.pre kinds.
struct GgufPreset {
  std::vector<std::string_view> splits;
  bool ignore_merges = false;
  bool add_bos = false;
};
std::optional<GgufPreset> gguf_preset(std::string_view pre);

}  // namespace llmd::tokenizer
