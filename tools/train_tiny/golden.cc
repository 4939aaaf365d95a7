#include "train_tiny/golden.h"

#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "train_tiny/corpus.h"
#include "train_tiny/generate.h"
#include "train_tiny/model_files.h"

namespace llmd::train_tiny {
namespace {

struct Case {
  std::string_view name;
  bool shout = false;
  Conversation messages;  // or, when empty:
  std::string_view text;
  int max_tokens = 300;
};

std::vector<Case> cases() {
  const auto ask = [](std::string question) { return Conversation{{"user", std::move(question)}}; };
  return {
      {"capital", false, ask("What is the capital of France?")},
      {"arithmetic", false, ask("What is 2+2?")},
      {"greeting", false, ask("Hello")},
      {"counting", false, ask("Count from 2 to 9.")},
      {"json", false, ask("Write JSON with name Anna and age 42.")},
      {"story", false, ask("Tell me a story.")},
      {"system-message",
       false,
       {{"system", "You are a helpful assistant."}, {"user", "What colour is the sky?"}}},
      {"second-turn",
       false,
       {{"user", "Hello"},
        {"assistant", "Hello! How can I help you?"},
        {"user", "What is the capital of Italy?"}}},
      {"completion", false, {}, "The capital of Japan is", 7},
      {"echo", false, ask("Repeat: green lamp")},
      {"completion-cut-by-length", false, {}, "1 2 3 4 5", 12},
      {"capital-shout", true, ask("What is the capital of France?")},
      {"greeting-shout", true, ask("Hello")},
      {"story-shout", true, ask("Tell me a story."), "", 180},
  };
}

std::string messages_json(const Conversation& messages) {
  std::vector<std::string> items;
  for (const Message& message : messages) {
    items.push_back(fmt::format(R"({{"role": {}, "content": {}}})", json_string(message.role),
                                json_string(message.content)));
  }
  return messages.empty() ? "null" : fmt::format("[{}]", fmt::join(items, ", "));
}

std::string case_json(const Case& c, std::string_view prompt, const Generation& generation) {
  std::vector<float> logits;
  std::vector<float> margins;
  std::vector<Token> runners_up;
  std::vector<double> log_probabilities;
  for (const Step& step : generation.steps) {
    logits.push_back(step.logit);
    margins.push_back(step.margin);
    runners_up.push_back(step.runner_up);
    log_probabilities.push_back(step.log_probability);
  }
  return fmt::format(
      R"(    {{
      "name": "{}",
      "adapter": {},
      "messages": {},
      "prompt": {},
      "prompt_ids": [{}],
      "max_tokens": {},
      "output_ids": [{}],
      "text": {},
      "finish_reason": "{}",
      "logits": [{:.5f}],
      "margins": [{:.5f}],
      "runner_up_ids": [{}],
      "logprobs": [{:.6f}],
      "logprob_sum": {:.6f},
      "prompt_logprob_sum": {:.6f}
    }})",
      c.name, c.shout ? "\"lora-shout\"" : "null", messages_json(c.messages), json_string(prompt),
      fmt::join(encode(prompt), ", "), c.max_tokens, fmt::join(generation.tokens(), ", "),
      json_string(decode(generation.tokens(), true)), generation.stopped ? "stop" : "length",
      fmt::join(logits, ", "), fmt::join(margins, ", "), fmt::join(runners_up, ", "),
      fmt::join(log_probabilities, ", "), generation.log_probability(), generation.prompt_log_probability);
}

}  // namespace

std::string golden_json(const Shape& shape, std::span<const float> base, std::span<const float> shouting) {
  Workspace workspace(shape, shape.max_positions);
  std::vector<std::string> items;
  for (const Case& c : cases()) {
    const std::string prompt = c.messages.empty() ? std::string(c.text) : render_chat(c.messages, true);
    items.push_back(
        case_json(c, prompt, generate(workspace, c.shout ? shouting : base, encode(prompt), c.max_tokens)));
  }
  return fmt::format(R"({{
  "comment": "Greedy decoding in float32 by tools/train_tiny. The lists have one entry per output token, the end token included; margins are the logit's distance to the runner-up.",
  "pairs": [
{}
  ]
}}
)",
                     fmt::join(items, ",\n"));
}

}  // namespace llmd::train_tiny
