#include "tokenizer/bpe_tokenizer.h"

#include <algorithm>
#include <array>

#include "tokenizer/detokenize.h"

namespace llmd::tokenizer {
namespace {

// Known names of tokens after which the model's turn is over.
constexpr std::array<std::string_view, 15> kEndNames{"<|eot_id|>",
                                                     "<|im_end|>",
                                                     "<|end|>",
                                                     "<|return|>",
                                                     "<|call|>",
                                                     "<end_of_turn>",
                                                     "<|endoftext|>",
                                                     "<|eom_id|>",
                                                     "<EOT>",
                                                     "[EOT]",
                                                     "[EOS]",
                                                     "<|end_of_text|>",
                                                     "<end_of_utterance>",
                                                     "<\xEF\xBD\x9C"
                                                     "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
                                                     "[e~["};

}  // namespace

// One call of encode: its options, its result and memory shared by its words.
struct BpeTokenizer::Run {
  const EncodeOptions& options;
  std::vector<Token> tokens;
  Bpe::Scratch scratch;
};

std::vector<Token> BpeTokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  Run run{options, {}, {}};
  if (options.add_special_tokens)
    run.tokens = parts_.prefix;
  run.tokens.reserve(run.tokens.size() + text.size() / 3 + 2);
  encode_raw(text, run);
  if (options.add_special_tokens)
    run.tokens.insert(run.tokens.end(), parts_.suffix.begin(), parts_.suffix.end());
  return std::move(run.tokens);
}

void BpeTokenizer::encode_raw(std::string_view text, Run& run) const {
  std::size_t at = 0;
  while (const auto match = parts_.raw_added.find(text, at, run.options.parse_special)) {
    encode_normalized(text.substr(at, match->begin - at), run);
    run.tokens.push_back(match->id);
    at = match->end;
  }
  encode_normalized(text.substr(at), run);
}

void BpeTokenizer::encode_normalized(std::string_view text, Run& run) const {
  if (text.empty())
    return;
  std::string normalized;
  if (!parts_.normalizer.empty()) {
    normalized = parts_.normalizer.apply(std::string(text));
    text = normalized;
  }
  std::size_t at = 0;
  while (const auto match = parts_.normalized_added.find(text, at, run.options.parse_special)) {
    encode_words(text.substr(at, match->begin - at), run);
    run.tokens.push_back(match->id);
    at = match->end;
  }
  encode_words(text.substr(at), run);
}

void BpeTokenizer::encode_words(std::string_view text, Run& run) const {
  if (text.empty())
    return;
  std::deque<std::string> storage;
  for (const auto word : parts_.pre_tokenizer.split(text, storage)) {
    parts_.bpe.encode(word, run.tokens, run.scratch);
  }
}

std::string BpeTokenizer::piece(Token token, bool skip_special) const {
  if (token < 0 || token >= vocab_size() || (skip_special && is_special(token)))
    return {};
  return parts_.bpe.piece(token);
}

std::string BpeTokenizer::decode(std::span<const Token> tokens, bool skip_special) const {
  std::string bytes;
  for (const auto token : tokens) {
    if (token < 0 || token >= vocab_size() || (skip_special && is_special(token)))
      continue;
    bytes += parts_.bpe.piece(token);
  }
  Utf8Stream stream;
  auto text = stream.push(bytes);
  return text + stream.flush();
}

bool BpeTokenizer::is_special(Token token) const {
  return token >= 0 && static_cast<std::size_t>(token) < parts_.special.size() &&
         parts_.special[static_cast<std::size_t>(token)];
}

std::optional<Token> BpeTokenizer::token_of(std::string_view piece) const {
  return find_token(parts_, piece);
}

std::optional<Token> find_token(const TokenizerParts& parts, std::string_view content) {
  for (const auto* added : {&parts.raw_added, &parts.normalized_added}) {
    if (const auto match = added->find(content, 0, true);
        match && match->begin == 0 && match->end == content.size())
      return match->id;
  }
  return parts.bpe.find(content);
}

void add_end_token(TokenizerParts& parts, std::int64_t id) {
  if (id < 0 || id >= parts.bpe.size())
    return;
  const auto token = static_cast<Token>(id);
  if (std::ranges::find(parts.end_tokens, token) == parts.end_tokens.end())
    parts.end_tokens.push_back(token);
}

void add_known_end_tokens(TokenizerParts& parts) {
  // Harmony's "<|end|>" ends a message, not the turn; the turn ends with one of two others.
  const bool harmony = find_token(parts, "<|return|>") && find_token(parts, "<|call|>");
  for (const auto name : kEndNames) {
    if (harmony && name == "<|end|>")
      continue;
    const auto token = find_token(parts, name);
    if (!token || static_cast<std::size_t>(*token) >= parts.special.size() ||
        !parts.special[static_cast<std::size_t>(*token)])
      continue;
    add_end_token(parts, *token);
  }
}

}  // namespace llmd::tokenizer
