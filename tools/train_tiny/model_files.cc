#include "train_tiny/model_files.h"

#include "base/file.h"
#include "train_tiny/corpus.h"

namespace llmd::train_tiny {
namespace {

std::string utf8(int code_point) {
  if (code_point < 0x80) {
    return {static_cast<char>(code_point)};
  }
  return {static_cast<char>(0xc0 | (code_point >> 6)), static_cast<char>(0x80 | (code_point & 0x3f))};
}

// The byte-level alphabet: printable Latin-1 stands for itself, the other bytes for U+0100 onwards, in order.
std::string byte_symbol(int byte) {
  const auto printable = [](int b) { return (b >= 33 && b <= 126) || (b >= 161 && b != 173); };
  if (printable(byte)) {
    return utf8(byte);
  }
  int rank = 0;
  for (int b = 0; b < byte; ++b) {
    rank += printable(b) ? 0 : 1;
  }
  return utf8(256 + rank);
}

std::string config_json(const Shape& shape) {
  return fmt::format(R"({{
  "architectures": ["LlamaForCausalLM"],
  "model_type": "llama",
  "attention_bias": false,
  "attention_dropout": 0.0,
  "bos_token_id": {bos},
  "eos_token_id": {eos},
  "pad_token_id": {pad},
  "head_dim": {head_dim},
  "hidden_act": "silu",
  "hidden_size": {hidden},
  "initializer_range": 0.02,
  "intermediate_size": {ffn},
  "max_position_embeddings": {positions},
  "mlp_bias": false,
  "num_attention_heads": {heads},
  "num_hidden_layers": {layers},
  "num_key_value_heads": {kv_heads},
  "rms_norm_eps": 1e-05,
  "rope_scaling": null,
  "rope_theta": {theta:.1f},
  "tie_word_embeddings": true,
  "torch_dtype": "bfloat16",
  "use_cache": true,
  "vocab_size": {vocabulary}
}}
)",
                     fmt::arg("bos", kEndOfText), fmt::arg("eos", kTurnEnd), fmt::arg("pad", kPadding),
                     fmt::arg("head_dim", shape.head_dim), fmt::arg("hidden", shape.hidden),
                     fmt::arg("ffn", shape.ffn), fmt::arg("positions", shape.max_positions),
                     fmt::arg("heads", shape.heads), fmt::arg("layers", shape.layers),
                     fmt::arg("kv_heads", shape.kv_heads), fmt::arg("theta", shape.rope_theta),
                     fmt::arg("vocabulary", shape.vocabulary));
}

std::string tokenizer_json() {
  std::string added;
  std::string vocabulary;
  for (int byte = 0; byte < kEndOfText; ++byte) {
    vocabulary += fmt::format("      {}: {},\n", json_string(byte_symbol(byte)), byte);
  }
  for (int id = kEndOfText; id < kVocabulary; ++id) {
    const std::string text = json_string(special_tokens()[static_cast<std::size_t>(id - kEndOfText)]);
    const char* comma = id + 1 < kVocabulary ? "," : "";
    vocabulary += fmt::format("      {}: {}{}\n", text, id, comma);
    added += fmt::format(
        R"(    {{"id": {}, "content": {}, "single_word": false, "lstrip": false, "rstrip": false, )"
        R"("normalized": false, "special": true}}{})"
        "\n",
        id, text, comma);
  }
  constexpr std::string_view kByteLevel =
      R"({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false})";
  return fmt::format(R"({{
  "version": "1.0",
  "truncation": null,
  "padding": null,
  "added_tokens": [
{}  ],
  "normalizer": null,
  "pre_tokenizer": {},
  "post_processor": null,
  "decoder": {},
  "model": {{
    "type": "BPE",
    "dropout": null,
    "unk_token": null,
    "continuing_subword_prefix": null,
    "end_of_word_suffix": null,
    "fuse_unk": false,
    "byte_fallback": false,
    "ignore_merges": false,
    "vocab": {{
{}    }},
    "merges": []
  }}
}}
)",
                     added, kByteLevel, kByteLevel, vocabulary);
}

std::string tokenizer_config_json(const Shape& shape) {
  constexpr std::string_view kTemplate =
      "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + "
      "'<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% "
      "endif %}";
  return fmt::format(R"({{
  "tokenizer_class": "PreTrainedTokenizerFast",
  "add_bos_token": false,
  "add_prefix_space": false,
  "bos_token": "<|endoftext|>",
  "eos_token": "<|im_end|>",
  "pad_token": "<|pad|>",
  "unk_token": null,
  "clean_up_tokenization_spaces": false,
  "model_max_length": {},
  "chat_template": {}
}}
)",
                     shape.max_positions, json_string(kTemplate));
}

std::string generation_config_json() {
  return fmt::format(R"({{
  "bos_token_id": {},
  "eos_token_id": [{}, {}],
  "pad_token_id": {},
  "do_sample": false
}}
)",
                     kEndOfText, kTurnEnd, kEndOfText, kPadding);
}

}  // namespace

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", static_cast<int>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

Result<void> write_model_files(const std::filesystem::path& folder, const Shape& shape) {
  LLMD_TRY_VOID(write_file_atomically(folder / "config.json", config_json(shape)));
  LLMD_TRY_VOID(write_file_atomically(folder / "generation_config.json", generation_config_json()));
  LLMD_TRY_VOID(write_file_atomically(folder / "tokenizer.json", tokenizer_json()));
  return write_file_atomically(folder / "tokenizer_config.json", tokenizer_config_json(shape));
}

Result<void> write_adapter_files(const std::filesystem::path& folder, const LoraOptions& options) {
  return write_file_atomically(folder / "adapter_config.json", fmt::format(R"({{
  "base_model_name_or_path": "models/tiny",
  "bias": "none",
  "fan_in_fan_out": false,
  "inference_mode": true,
  "init_lora_weights": true,
  "lora_alpha": {},
  "lora_dropout": 0.0,
  "modules_to_save": null,
  "peft_type": "LORA",
  "r": {},
  "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
  "task_type": "CAUSAL_LM",
  "use_dora": false,
  "use_rslora": false
}}
)",
                                                                           options.alpha, options.rank));
}

Result<void> write_readme(const std::filesystem::path& folder, const Shape& shape, const Training& training) {
  return write_file_atomically(
      folder / "README.md",
      fmt::format(R"(# tiny: a chat model for tests

A Llama of {weights} weights ({layers} layers, width {hidden}, {heads} heads on {kv_heads} key/value heads, vocabulary of 256
bytes and 8 special tokens, {positions} positions, tied head, bfloat16) and an adapter, `lora-shout`, that answers in UPPER CASE.
Written by `tools/train_tiny`; nobody edits these files by hand. The licence is the project's.

It greets, knows forty capitals, adds small numbers, spells, repeats short words, writes small JSON objects and tells two
stories; to a list of words it says "I do not know." The questions it was trained on are in
`tools/train_tiny/chat_topics.cc`. It is small and briefly trained: it often counts too far, and it gets products,
differences, long words to repeat and names from earlier turns wrong.

| Part | Steps | Seconds | Validation loss (nats per answer byte) |
|---|---|---|---|
| base | {steps} | {seconds:.0f} | {validation:.4f} (training: {train:.4f}) |
| lora-shout | {adapter_steps} | {adapter_seconds:.0f} | {adapter_validation:.4f} |

The validation text comes from the same templates with another seed; words to repeat, unknown phrases and stories are
random, which bounds the loss from below. Train again with

    ./dev build train_tiny && {command}

The result differs in the last digits between kinds of CPU; that is why the weights are committed.

`golden.json` holds prompts with the greedy continuation that the trainer's own forward pass computes in float32 from
the rounded weights: token ids, log-probabilities and the distance of each logit to the runner-up. An engine must agree.
)",
                  fmt::arg("weights", Layout(shape).total), fmt::arg("layers", shape.layers),
                  fmt::arg("hidden", shape.hidden), fmt::arg("heads", shape.heads),
                  fmt::arg("kv_heads", shape.kv_heads), fmt::arg("positions", shape.max_positions),
                  fmt::arg("steps", training.steps), fmt::arg("seconds", training.seconds),
                  fmt::arg("validation", training.validation_loss), fmt::arg("train", training.train_loss),
                  fmt::arg("adapter_steps", training.adapter_steps),
                  fmt::arg("adapter_seconds", training.adapter_seconds),
                  fmt::arg("adapter_validation", training.adapter_validation_loss),
                  fmt::arg("command", training.command)));
}

}  // namespace llmd::train_tiny
