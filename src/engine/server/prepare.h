// From a request to what the engine wants: model, prompt tokens, parameters. Every refusal names its
// parameter.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/core/generation.h"
#include "engine/server/adapters.h"
#include "engine/server/requests.h"
#include "engine/server/served_model.h"

namespace llmd::engine {

struct SelectedModel {
  std::string name;                             // as the answer shows it
  std::shared_ptr<const NamedAdapter> adapter;  // null: the base model
};

// An empty name is the base model; 404 for an unknown one.
Api<SelectedModel> select_model(const ServedModel& model, const AdapterRegistry& adapters,
                                const std::string& asked);

// What is independent of the kind of request: streaming options, priority, salt, features that are not there.
Api<> check_common(const CommonRequest& request, const ServedModel& model);

// `asked`: the limit the client gave; without one `fallback`, or all that fits when that is 0.
struct OutputLimit {
  std::optional<int> asked;
  int fallback = 0;
};
Api<SamplingParams> sampling_params(const CommonRequest& request, const ServedModel& model, OutputLimit limit,
                                    std::optional<int> logprobs, int prompt_length);

// The conversation, checked: 400 for what a text model cannot read.
Api<tokenizer::ChatInput> conversation_of(const ChatRequest& request, const ServedModel& model);
// The text of the last message, for echo; empty unless it has this role (an empty role is any).
std::string last_message_text(const json::Array& messages, std::string_view role = {});

Api<std::vector<Token>> chat_prompt(const ServedModel& model, const tokenizer::ChatInput& conversation,
                                    const std::string& chat_template, bool add_special_tokens);
Api<std::vector<Token>> completion_prompt(const ServedModel& model, const Prompt& prompt,
                                          bool add_special_tokens);
// truncate_prompt_tokens: keeps the end; -1: as much as the model takes.
void truncate_prompt(std::vector<Token>& prompt, const CommonRequest& request, const ServedModel& model);

}  // namespace llmd::engine
