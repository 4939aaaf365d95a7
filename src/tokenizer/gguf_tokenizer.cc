// Tokenizers from GGUF metadata (keys tokenizer.ggml.*).
#include "modelfile/gguf.h"
#include "tokenizer/bpe_tokenizer.h"
#include "tokenizer/byte_alphabet.h"

namespace llmd::tokenizer {
namespace {

// tokenizer.ggml.token_type
constexpr std::int64_t kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4;

Result<void> add_vocabulary(TokenizerParts& parts, const modelfile::GgufFile& file, std::size_t merge_count) {
  LLMD_TRY(const auto tokens, file.strings("tokenizer.ggml.tokens"));
  std::span<const std::int64_t> types;
  if (file.has("tokenizer.ggml.token_type")) {
    LLMD_TRY(types, file.integers("tokenizer.ggml.token_type"));
    if (types.size() < tokens.size())
      return data_loss("tokenizer.ggml.token_type is shorter than tokenizer.ggml.tokens");
  }
  parts.bpe.reserve(tokens.size(), merge_count);
  parts.special.resize(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto type = types.empty() ? kNormal : types[i];
    const bool added = type == kUnknown || type == kControl || type == kUserDefined;
    std::string bytes;
    const bool mergeable = !added && append_bytes_of(bytes, tokens[i]);
    const auto id = parts.bpe.add_piece(mergeable ? std::move(bytes) : std::string(tokens[i]), mergeable);
    if (!added)
      continue;
    const bool special = type != kUserDefined;
    parts.special[i] = special;
    parts.raw_added.add({.id = id, .content = std::string(tokens[i]), .special = special});
  }
  return {};
}

Result<void> add_merges(TokenizerParts& parts, std::span<const std::string_view> merges) {
  std::string left, right;
  for (const auto merge : merges) {
    const auto space = merge.find(' ', 1);
    if (space == std::string_view::npos)
      return data_loss("tokenizer.ggml.merges: '{}' is not a pair", merge);
    left.clear();
    right.clear();
    // A merge of anything else could never happen to bytes.
    if (append_bytes_of(left, merge.substr(0, space)) && append_bytes_of(right, merge.substr(space + 1))) {
      parts.bpe.add_merge(left, right);
    }
  }
  return {};
}

std::optional<Token> token_key(const TokenizerParts& parts, const modelfile::GgufFile& file,
                               std::string_view key) {
  const auto id = file.integer(key);
  if (!id || *id < 0 || *id >= parts.bpe.size())
    return std::nullopt;
  return static_cast<Token>(*id);
}

void add_ends(TokenizerParts& parts, const modelfile::GgufFile& file, bool default_bos) {
  // The key may be missing; then llama.cpp means token 11 by convention of GPT-2 files, which only add_bos
  // could show.
  parts.bos = token_key(parts, file, "tokenizer.ggml.bos_token_id");
  const auto eos = token_key(parts, file, "tokenizer.ggml.eos_token_id");
  if (eos)
    add_end_token(parts, *eos);
  for (const auto* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    if (const auto token = token_key(parts, file, key))
      add_end_token(parts, *token);
  }
  add_known_end_tokens(parts);
  const auto add_bos = file.boolean("tokenizer.ggml.add_bos_token");
  const auto add_eos = file.boolean("tokenizer.ggml.add_eos_token");
  if ((add_bos ? *add_bos : default_bos) && parts.bos)
    parts.prefix = {*parts.bos};
  if (add_eos && *add_eos && eos)
    parts.suffix = {*eos};
}

}  // namespace

Result<TokenizerParts> parts_from_gguf(const modelfile::GgufFile& file) {
  LLMD_TRY(const auto model, file.string("tokenizer.ggml.model"));
  if (model != "gpt2") {
    return unimplemented("tokenizer.ggml.model '{}' is not byte-level BPE", model)
        .hint("only 'gpt2' tokenizers are supported");
  }
  std::string_view pre = "default";
  if (file.has("tokenizer.ggml.pre")) {
    LLMD_TRY(pre, file.string("tokenizer.ggml.pre"));
  }
  const auto preset = gguf_preset(pre);
  if (!preset)
    return unimplemented("tokenizer.ggml.pre '{}' is not known", pre);

  TokenizerParts parts;
  LLMD_TRY(const auto merges, file.strings("tokenizer.ggml.merges"));
  LLMD_TRY_VOID(add_vocabulary(parts, file, merges.size()));
  LLMD_TRY_VOID(add_merges(parts, merges));
  parts.bpe.set_ignore_merges(preset->ignore_merges);
  parts.bpe.finish();
  for (const auto split : preset->splits) {
    LLMD_TRY(auto regex, Regex::compile(split));
    parts.pre_tokenizer.add_split(std::move(regex), SplitBehaviour::Isolated, false);
  }
  add_ends(parts, file, preset->add_bos);
  if (const auto chat = file.string("tokenizer.chat_template"))
    parts.chat_template = *chat;
  return parts;
}

}  // namespace llmd::tokenizer
