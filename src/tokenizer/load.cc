// Finds the tokenizer of a model file or folder.
#include <algorithm>

#include "base/file.h"
#include "modelfile/gguf.h"
#include "tokenizer/bpe_tokenizer.h"
#include "tokenizer/json_tokenizer.h"

namespace llmd::tokenizer {
namespace {

namespace fs = std::filesystem;

// "<s>" or {"content": "<s>", ...}
std::string_view token_field(const json::Object& config, std::string_view name) {
  if (const auto* object = object_field(config, name))
    return string_field(*object, "content");
  return string_field(config, name);
}

// One template, or named ones: "tool_use" where there are tools, "default" elsewhere.
std::string template_of(const json::Object& config) {
  const auto single = string_field(config, "chat_template");
  if (!single.empty())
    return std::string(single);
  std::string_view fallback, with_tools;
  for (const auto& entry : array_field(config, "chat_template")) {
    if (!entry.is_object())
      continue;
    const auto name = string_field(entry.get_object(), "name");
    if (name == "default")
      fallback = string_field(entry.get_object(), "template");
    if (name == "tool_use")
      with_tools = string_field(entry.get_object(), "template");
  }
  if (with_tools.ends_with('\n'))
    with_tools.remove_suffix(1);  // a template's last newline is not its text
  if (with_tools.empty())
    return std::string(fallback);
  return fmt::format("{{%+ if tools +%}}{}{{%+ else +%}}{}{{%+ endif %}}", with_tools, fallback);
}

Result<json::Object> read_json(const fs::path& path) {
  LLMD_TRY(const auto text, read_file(path));
  auto parsed = json::parse_object(text);
  if (!parsed)
    return std::unexpected(std::move(parsed).error().within(path.filename().string()));
  return parsed;
}

Result<std::shared_ptr<const Tokenizer>> load_gguf(const fs::path& path) {
  LLMD_TRY(const auto file, modelfile::GgufFile::open(path));
  auto parts = parts_from_gguf(file);
  if (!parts)
    return std::unexpected(std::move(parts).error().within(path.filename().string()));
  return std::make_shared<const BpeTokenizer>(std::move(*parts));
}

Result<std::shared_ptr<const Tokenizer>> load_folder(const fs::path& folder) {
  LLMD_TRY(const auto text, read_file(folder / "tokenizer.json"));
  auto parts = parts_from_json(text);
  if (!parts)
    return std::unexpected(std::move(parts).error().within("tokenizer.json"));
  if (fs::exists(folder / "tokenizer_config.json")) {
    LLMD_TRY(const auto config, read_json(folder / "tokenizer_config.json"));
    LLMD_TRY_VOID(apply_tokenizer_config(*parts, config));
  }
  if (fs::exists(folder / "generation_config.json")) {
    LLMD_TRY(const auto config, read_json(folder / "generation_config.json"));
    apply_generation_config(*parts, config);
  }
  add_known_end_tokens(*parts);
  if (fs::exists(folder / "chat_template.jinja")) {
    LLMD_TRY(parts->chat_template, read_file(folder / "chat_template.jinja"));
  } else if (fs::exists(folder / "chat_template.json")) {
    LLMD_TRY(const auto config, read_json(folder / "chat_template.json"));
    parts->chat_template = template_of(config);
  }
  return std::make_shared<const BpeTokenizer>(std::move(*parts));
}

}  // namespace

Result<void> apply_tokenizer_config(TokenizerParts& parts, const json::Object& config) {
  if (const auto bos = token_field(config, "bos_token"); !bos.empty()) {
    parts.bos = find_token(parts, bos);
    if (!parts.bos)
      return invalid_argument("tokenizer_config.json: bos_token '{}' is not in the vocabulary", bos);
  }
  if (const auto eos = token_field(config, "eos_token"); !eos.empty()) {
    const auto token = find_token(parts, eos);
    if (!token)
      return invalid_argument("tokenizer_config.json: eos_token '{}' is not in the vocabulary", eos);
    std::erase(parts.end_tokens, *token);
    parts.end_tokens.insert(parts.end_tokens.begin(), *token);
  }
  if (auto chat = template_of(config); !chat.empty())
    parts.chat_template = std::move(chat);
  return {};
}

void apply_generation_config(TokenizerParts& parts, const json::Object& config) {
  add_end_token(parts, integer_field(config, "eos_token_id", -1));
  for (const auto& id : array_field(config, "eos_token_id")) {
    if (id.is_int64())
      add_end_token(parts, id.get_int64());
  }
  const auto bos = integer_field(config, "bos_token_id", -1);
  if (!parts.bos && bos >= 0 && bos < parts.bpe.size())
    parts.bos = static_cast<Token>(bos);
}

Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error))
    return not_found("{}: no such file or folder", path.string());
  if (!fs::is_directory(path, error))
    return load_gguf(path);
  if (fs::exists(path / "tokenizer.json", error))
    return load_folder(path);
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(path, error)) {
    if (entry.path().extension() == ".gguf")
      files.push_back(entry.path());
  }
  if (files.size() == 1)
    return load_gguf(files.front());
  return not_found("{}: neither tokenizer.json nor exactly one .gguf file", path.string());
}

}  // namespace llmd::tokenizer
