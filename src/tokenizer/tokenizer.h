// Text to token ids and back, exactly as the model's authors do it. Byte-level BPE from a GGUF file or
// tokenizer.json.
//
// A Tokenizer is immutable after loading; any thread may use it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace llmd::tokenizer {

using Token = std::int32_t;

struct EncodeOptions {
  bool add_special_tokens = true;  // BOS/EOS where the model wants them
  bool parse_special = true;       // "<|im_start|>" in the text becomes the control token, else plain text
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  virtual std::vector<Token> encode(std::string_view text, const EncodeOptions& options = {}) const = 0;
  // The bytes of one token; special tokens give "" when skip_special. Pieces of several tokens concatenate to
  // the whole text, but one piece alone may end inside a UTF-8 sequence: see Utf8Stream in detokenize.h.
  virtual std::string piece(Token token, bool skip_special = true) const = 0;
  virtual std::string decode(std::span<const Token> tokens, bool skip_special = true) const = 0;

  virtual int vocab_size() const = 0;
  virtual bool is_special(Token token) const = 0;
  virtual std::optional<Token> token_of(std::string_view piece) const = 0;  // exact vocabulary entry
  virtual std::optional<Token> bos() const = 0;
  // All tokens that end a turn: eos plus eot and what generation_config.json lists.
  virtual const std::vector<Token>& end_tokens() const = 0;
  // The model's Jinja chat template; empty when it has none.
  virtual const std::string& chat_template() const = 0;
};

// `path` as for engine::load_model: a .gguf file or a folder (tokenizer.json, tokenizer_config.json,
// generation_config.json, chat_template.jinja, or one .gguf).
Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const std::filesystem::path& path);

}  // namespace llmd::tokenizer
