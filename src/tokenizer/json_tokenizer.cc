// Tokenizers from tokenizer.json, as the `tokenizers` library writes it.
#include "tokenizer/json_tokenizer.h"

#include <algorithm>

#include "tokenizer/bpe_tokenizer.h"
#include "tokenizer/byte_alphabet.h"

namespace llmd::tokenizer {
namespace {

std::string_view view(const json::String& text) {
  return {text.data(), text.size()};
}

Result<void> add_vocabulary(TokenizerParts& parts, const json::Object& model, const json::Array& added,
                            std::size_t merges) {
  const auto* vocab = object_field(model, "vocab");
  if (vocab == nullptr)
    return invalid_argument("model.vocab: expected an object");
  struct Entry {
    std::string_view text;
    bool is_added = false;
    bool present = false;
  };
  std::vector<Entry> entries(vocab->size());
  const auto place = [&](std::int64_t id, std::string_view text, bool is_added) -> Result<void> {
    if (id < 0 || id > (std::int64_t{1} << 22))
      return invalid_argument("token '{}' has the impossible id {}", text, id);
    if (entries.size() <= static_cast<std::size_t>(id))
      entries.resize(static_cast<std::size_t>(id) + 1);
    auto& entry = entries[static_cast<std::size_t>(id)];
    // Added tokens are listed in the vocabulary too, as a rule; there they are written as they read.
    if (!entry.present || is_added)
      entry = {text, is_added, true};
    return {};
  };
  for (const auto& [text, id] : *vocab) {
    if (!id.is_int64())
      return invalid_argument("model.vocab: the id of '{}' must be an integer", std::string_view(text));
    LLMD_TRY_VOID(place(id.get_int64(), {text.data(), text.size()}, false));
  }
  for (const auto& token : added) {
    LLMD_TRY_VOID(place(integer_field(token.get_object(), "id", -1),
                        string_field(token.get_object(), "content"), true));
  }
  parts.bpe.reserve(entries.size(), merges);
  for (const auto& entry : entries) {
    std::string bytes;
    const bool mergeable = entry.present && !entry.is_added && append_bytes_of(bytes, entry.text);
    parts.bpe.add_piece(mergeable ? std::move(bytes) : std::string(entry.text), mergeable);
  }
  return {};
}

Result<void> add_added_tokens(TokenizerParts& parts, const json::Array& added) {
  parts.special.resize(static_cast<std::size_t>(parts.bpe.size()));
  for (const auto& value : added) {
    const auto& object = value.get_object();
    AddedToken token;
    token.id = static_cast<Token>(integer_field(object, "id", -1));
    token.content = string_field(object, "content");
    token.special = bool_field(object, "special", false);
    token.lstrip = bool_field(object, "lstrip", false);
    token.rstrip = bool_field(object, "rstrip", false);
    token.single_word = bool_field(object, "single_word", false);
    token.normalized = bool_field(object, "normalized", !token.special);
    parts.special[static_cast<std::size_t>(token.id)] = token.special;
    if (token.normalized && !parts.normalizer.empty()) {
      token.content = parts.normalizer.apply(token.content);
      parts.normalized_added.add(std::move(token));
    } else {
      parts.raw_added.add(std::move(token));
    }
  }
  return {};
}

Result<void> add_merges(TokenizerParts& parts, const json::Array& merges) {
  std::string left_bytes, right_bytes;
  for (const auto& merge : merges) {
    std::string_view left, right;
    if (merge.is_string()) {
      const auto pair = view(merge.get_string());
      const auto space = pair.find(' ');
      if (space == std::string_view::npos)
        return invalid_argument("model.merges: '{}' is not a pair", pair);
      left = pair.substr(0, space);
      right = pair.substr(space + 1);
    } else if (merge.is_array() && merge.get_array().size() == 2 && merge.get_array()[0].is_string() &&
               merge.get_array()[1].is_string()) {
      left = view(merge.get_array()[0].get_string());
      right = view(merge.get_array()[1].get_string());
    } else {
      return invalid_argument("model.merges: expected \"a b\" or [\"a\", \"b\"]");
    }
    left_bytes.clear();
    right_bytes.clear();
    // A merge of anything but bytes could never happen.
    if (append_bytes_of(left_bytes, left) && append_bytes_of(right_bytes, right)) {
      parts.bpe.add_merge(left_bytes, right_bytes);
    }
  }
  return {};
}

// The ids of a TemplateProcessing, Bert or Roberta post-processor before and behind the text.
Result<void> add_post_processor(TokenizerParts& parts, const json::Object& processor) {
  const auto type = string_field(processor, "type");
  if (type == "ByteLevel")
    return {};
  if (type == "Sequence") {
    for (const auto& part : array_field(processor, "processors")) {
      if (!part.is_object())
        return invalid_argument("post_processor: expected objects");
      LLMD_TRY_VOID(add_post_processor(parts, part.get_object()));
    }
    return {};
  }
  if (type == "RobertaProcessing" || type == "BertProcessing") {
    const auto& cls = array_field(processor, "cls");
    const auto& sep = array_field(processor, "sep");
    if (cls.size() == 2 && cls[1].is_int64())
      parts.prefix.push_back(static_cast<Token>(cls[1].get_int64()));
    if (sep.size() == 2 && sep[1].is_int64())
      parts.suffix.push_back(static_cast<Token>(sep[1].get_int64()));
    return {};
  }
  if (type != "TemplateProcessing")
    return unimplemented("post_processor '{}' is not supported", type);
  const auto* special = object_field(processor, "special_tokens");
  auto* side = &parts.prefix;
  for (const auto& piece : array_field(processor, "single")) {
    if (!piece.is_object())
      return invalid_argument("post_processor.single: expected objects");
    if (piece.get_object().contains("Sequence")) {
      side = &parts.suffix;
      continue;
    }
    const auto* token = object_field(piece.get_object(), "SpecialToken");
    const auto* known =
        token != nullptr && special != nullptr ? object_field(*special, string_field(*token, "id")) : nullptr;
    if (known == nullptr)
      return invalid_argument("post_processor.single names an unknown special token");
    for (const auto& id : array_field(*known, "ids")) {
      if (!id.is_int64())
        return invalid_argument("post_processor.special_tokens: ids must be integers");
      side->push_back(static_cast<Token>(id.get_int64()));
    }
  }
  return {};
}

Result<void> check_tokens(const TokenizerParts& parts) {
  for (const auto* side : {&parts.prefix, &parts.suffix}) {
    for (const auto token : *side) {
      if (token < 0 || token >= parts.bpe.size())
        return invalid_argument("post_processor: token {} is not in the vocabulary", token);
    }
  }
  return {};
}

}  // namespace

Result<TokenizerParts> parts_from_json(std::string_view text) {
  LLMD_TRY(const auto root, json::parse_object(text));
  const auto* model = object_field(root, "model");
  if (model == nullptr)
    return invalid_argument("model: missing");
  const auto type = string_field(*model, "type");
  // Old files do not name the type; merges give BPE away.
  if (type != "BPE" && !(type.empty() && model->contains("merges"))) {
    return unimplemented("model.type '{}' is not supported", type).hint("byte-level BPE is");
  }
  const auto& merges = array_field(*model, "merges");
  const auto& added = array_field(root, "added_tokens");
  for (const auto& token : added) {
    if (!token.is_object())
      return invalid_argument("added_tokens: expected objects");
  }

  TokenizerParts parts;
  LLMD_TRY_VOID(add_vocabulary(parts, *model, added, merges.size()));
  LLMD_TRY_VOID(add_merges(parts, merges));
  parts.bpe.set_ignore_merges(bool_field(*model, "ignore_merges", false));
  parts.bpe.finish();
  LLMD_TRY(const bool byte_level, build_pipeline(root, parts.normalizer, parts.pre_tokenizer));
  if (!byte_level)
    return unimplemented("the tokenizer is BPE but not byte-level")
        .hint("SentencePiece style BPE is not supported");
  LLMD_TRY_VOID(add_added_tokens(parts, added));
  if (const auto unknown = string_field(*model, "unk_token"); !unknown.empty())
    parts.bpe.set_unknown(find_token(parts, bytes_or_text(unknown)));
  if (const auto* processor = object_field(root, "post_processor")) {
    LLMD_TRY_VOID(add_post_processor(parts, *processor));
  }
  LLMD_TRY_VOID(check_tokens(parts));
  return parts;
}

}  // namespace llmd::tokenizer
