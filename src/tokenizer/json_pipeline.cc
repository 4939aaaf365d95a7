// "normalizer" and "pre_tokenizer" of tokenizer.json.
#include <algorithm>

#include "tokenizer/json_tokenizer.h"

namespace llmd::tokenizer {
namespace {

constexpr std::string_view kByteLevelWords =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr int kMaxNesting = 16;

Result<Regex> pattern_of(const json::Object& step) {
  const auto* pattern = object_field(step, "pattern");
  if (pattern == nullptr)
    return invalid_argument("pattern: missing");
  if (pattern->contains("Regex"))
    return Regex::compile(string_field(*pattern, "Regex"));
  return Regex::compile_literal(string_field(*pattern, "String"));
}

Result<SplitBehaviour> behaviour_of(std::string_view name) {
  if (name == "Removed")
    return SplitBehaviour::Removed;
  if (name == "Isolated")
    return SplitBehaviour::Isolated;
  if (name == "MergedWithPrevious")
    return SplitBehaviour::MergedWithPrevious;
  if (name == "MergedWithNext")
    return SplitBehaviour::MergedWithNext;
  if (name == "Contiguous")
    return SplitBehaviour::Contiguous;
  return invalid_argument("behavior '{}' is not known", name);
}

std::string replaced(const std::string& text, const Regex& regex, std::string_view content) {
  std::vector<Range> matches;
  regex.matches(text, matches);
  std::string out;
  std::size_t at = 0;
  for (const auto& match : matches) {
    out.append(text, at, match.begin - at);
    out += content;
    at = match.end;
  }
  return out.append(text, at);
}

Result<void> add_normalizer(const json::Object& step, Normalizer& out, int nesting) {
  const auto type = string_field(step, "type");
  const auto form = [&](Form wanted) {
    out.add([wanted](std::string text) { return unicode_normalized(std::move(text), wanted); });
  };
  if (nesting > kMaxNesting)
    return invalid_argument("nested too deeply");
  if (type == "Sequence") {
    for (const auto& part : array_field(step, "normalizers")) {
      if (!part.is_object())
        return invalid_argument("normalizers: expected objects");
      LLMD_TRY_VOID(add_normalizer(part.get_object(), out, nesting + 1));
    }
  } else if (type == "NFC") {
    form(Form::Nfc);
  } else if (type == "NFD") {
    form(Form::Nfd);
  } else if (type == "NFKC") {
    form(Form::Nfkc);
  } else if (type == "NFKD") {
    form(Form::Nfkd);
  } else if (type == "Lowercase") {
    out.add([](const std::string& text) { return lower_case(text); });
  } else if (type == "Prepend") {
    out.add([prefix = std::string(string_field(step, "prepend"))](const std::string& text) {
      return text.empty() ? text : prefix + text;
    });
  } else if (type == "Replace") {
    LLMD_TRY(auto regex, pattern_of(step));
    out.add([regex = std::move(regex), content = std::string(string_field(step, "content"))](
                const std::string& text) { return replaced(text, regex, content); });
  } else {
    return unimplemented("type '{}' is not supported", type);
  }
  return {};
}

Result<void> add_regex(PreTokenizer& out, std::string_view pattern, SplitBehaviour behaviour) {
  LLMD_TRY(auto regex, Regex::compile(pattern));
  out.add_split(std::move(regex), behaviour, false);
  return {};
}

Result<void> add_byte_level(const json::Object& step, PreTokenizer& out) {
  if (bool_field(step, "add_prefix_space", true))
    out.add_prefix_space();
  if (bool_field(step, "use_regex", true))
    return add_regex(out, kByteLevelWords, SplitBehaviour::Isolated);
  return {};
}

Result<void> add_pre_tokenizer(const json::Object& step, PreTokenizer& out, bool& byte_level, int nesting) {
  const auto type = string_field(step, "type");
  if (nesting > kMaxNesting)
    return invalid_argument("nested too deeply");
  if (type == "Sequence") {
    for (const auto& part : array_field(step, "pretokenizers")) {
      if (!part.is_object())
        return invalid_argument("pretokenizers: expected objects");
      LLMD_TRY_VOID(add_pre_tokenizer(part.get_object(), out, byte_level, nesting + 1));
    }
    return {};
  }
  if (type == "ByteLevel") {
    byte_level = true;
    return add_byte_level(step, out);
  }
  if (byte_level)
    return unimplemented("'{}' behind ByteLevel is not supported", type);
  if (type == "Split") {
    LLMD_TRY(auto regex, pattern_of(step));
    LLMD_TRY(const auto behaviour, behaviour_of(string_field(step, "behavior")));
    out.add_split(std::move(regex), behaviour, bool_field(step, "invert", false));
    return {};
  }
  if (type == "Digits") {
    return add_regex(out, bool_field(step, "individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)",
                     SplitBehaviour::Isolated);
  }
  if (type == "Punctuation") {
    const auto name = string_field(step, "behavior");
    LLMD_TRY(const auto behaviour, behaviour_of(name.empty() ? "Isolated" : name));
    return add_regex(out, R"([\p{P}!-/:-@\[-`{-~])", behaviour);
  }
  if (type == "WhitespaceSplit")
    return add_regex(out, R"(\s+)", SplitBehaviour::Removed);
  if (type == "Whitespace") {
    LLMD_TRY(auto regex, Regex::compile(R"([\p{L}\p{M}\p{Nd}\p{Pc}]+|[^\s\p{L}\p{M}\p{Nd}\p{Pc}]+)"));
    out.add_split(std::move(regex), SplitBehaviour::Removed, true);
    return {};
  }
  return unimplemented("type '{}' is not supported", type);
}

// Some files leave the byte alphabet to a normalizer or say so in the decoder only.
bool names_byte_level(const json::Object& root) {
  const auto* decoder = object_field(root, "decoder");
  if (decoder == nullptr)
    return false;
  if (string_field(*decoder, "type") == "ByteLevel")
    return true;
  return std::ranges::any_of(array_field(*decoder, "decoders"), [](const json::Value& part) {
    return part.is_object() && string_field(part.get_object(), "type") == "ByteLevel";
  });
}

}  // namespace

std::string_view string_field(const json::Object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  if (value == nullptr || !value->is_string())
    return {};
  return {value->get_string().data(), value->get_string().size()};
}

std::int64_t integer_field(const json::Object& object, std::string_view name, std::int64_t fallback) {
  const auto* value = object.if_contains(name);
  return value != nullptr && value->is_int64() ? value->get_int64() : fallback;
}

bool bool_field(const json::Object& object, std::string_view name, bool fallback) {
  const auto* value = object.if_contains(name);
  return value != nullptr && value->is_bool() ? value->get_bool() : fallback;
}

const json::Object* object_field(const json::Object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value != nullptr ? value->if_object() : nullptr;
}

const json::Array& array_field(const json::Object& object, std::string_view name) {
  static const json::Array kEmpty;
  const auto* value = object.if_contains(name);
  return value != nullptr && value->is_array() ? value->get_array() : kEmpty;
}

Result<bool> build_pipeline(const json::Object& root, Normalizer& normalizer, PreTokenizer& pre_tokenizer) {
  if (const auto* step = object_field(root, "normalizer")) {
    if (auto added = add_normalizer(*step, normalizer, 0); !added)
      return std::unexpected(std::move(added).error().within("normalizer"));
  }
  bool byte_level = false;
  if (const auto* step = object_field(root, "pre_tokenizer")) {
    if (auto added = add_pre_tokenizer(*step, pre_tokenizer, byte_level, 0); !added) {
      return std::unexpected(std::move(added).error().within("pre_tokenizer"));
    }
  }
  return byte_level || names_byte_level(root);
}

}  // namespace llmd::tokenizer
