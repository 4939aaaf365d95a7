#include "engine/server/prepare.h"

#include <algorithm>
#include <limits>

#include "base/strings.h"
#include "engine/server/structured.h"

namespace llmd::engine {
namespace {

Api<> refuse_missing_features(const CommonRequest& request) {
  if (request.use_beam_search) {
    return not_implemented("beam search is not implemented", "use_beam_search");
  }
  return {};
}

Api<> check_salt(const CommonRequest& request) {
  if (!request.cache_salt) {
    return {};
  }
  const std::string_view salt = *request.cache_salt;
  if (salt.empty() || salt.size() > 128 ||
      salt.find_first_of(std::string_view("@/\\\0", 4)) != std::string::npos) {
    return bad_request("cache_salt must have 1 to 128 characters and none of @ / \\ NUL", "cache_salt");
  }
  return {};
}

Api<std::vector<std::pair<Token, float>>> parse_logit_bias(const CommonRequest& request) {
  std::vector<std::pair<Token, float>> bias;
  for (const auto& [key, value] : request.logit_bias) {
    const auto token = parse_integer(key);
    if (!token || *token < 0 || *token > std::numeric_limits<Token>::max()) {
      return bad_request(fmt::format("logit_bias: '{}' is not a token id", key), "logit_bias");
    }
    bias.emplace_back(static_cast<Token>(*token), static_cast<float>(value));
  }
  return bias;
}

// Both spellings of a word: at the beginning of a text and behind a space.
std::vector<std::vector<Token>> bad_word_tokens(const CommonRequest& request, const ServedModel& model) {
  std::vector<std::vector<Token>> words;
  for (const std::string& word : request.bad_words) {
    for (const std::string& spelling : {word, " " + word}) {
      words.push_back(
          model.tokenizer->encode(spelling, {.add_special_tokens = false, .parse_special = false}));
    }
  }
  return words;
}

Api<int> output_limit(const OutputLimit& limit, const ServedModel& model, int prompt_length) {
  const int room = model.max_model_len - prompt_length;
  if (room < 0 || (room == 0 && limit.asked.value_or(1) != 0)) {
    return bad_request(
        fmt::format("This model's maximum context length is {} tokens, but the prompt has {} tokens and "
                    "at least one must be generated. Shorten the prompt.",
                    model.max_model_len, prompt_length),
        "input_tokens");
  }
  if (limit.asked) {
    if (*limit.asked > room) {
      return bad_request(
          fmt::format(
              "This model's maximum context length is {} tokens, but the prompt has {} tokens and max_tokens "
              "asks for {} more. Shorten the prompt or ask for less.",
              model.max_model_len, prompt_length, *limit.asked),
          "max_tokens");
    }
    return *limit.asked;
  }
  int most = limit.fallback > 0 ? std::min(limit.fallback, room) : room;
  if (limit.fallback == 0 && model.defaults.max_new_tokens) {
    most = std::min(most, *model.defaults.max_new_tokens);
  }
  return most;
}

}  // namespace

Api<SelectedModel> select_model(const ServedModel& model, const AdapterRegistry& adapters,
                                const std::string& asked) {
  if (asked.empty()) {
    return SelectedModel{model.names.front(), nullptr};
  }
  if (std::ranges::find(model.names, asked) != model.names.end()) {
    return SelectedModel{asked, nullptr};
  }
  if (auto adapter = adapters.find(asked)) {
    return SelectedModel{asked, std::move(adapter)};
  }
  return std::unexpected(
      ApiError{404, "NotFoundError", fmt::format("The model `{}` does not exist.", asked), "model"});
}

Api<> check_common(const CommonRequest& request, const ServedModel& model) {
  if (request.stream_options && !request.stream) {
    return bad_request("stream_options is only allowed with stream", "stream_options");
  }
  if (request.stream && request.prompt_logprobs.value_or(0) != 0) {
    return bad_request("prompt_logprobs is not available with stream", "prompt_logprobs");
  }
  if (request.n && *request.n < 1) {
    return bad_request(fmt::format("n: must be at least 1, got {}", *request.n), "n");
  }
  if (request.n && *request.n > 128) {
    return bad_request(fmt::format("n: at most 128 choices, got {}", *request.n), "n");
  }
  if (request.priority != 0 && !model.priority_scheduling) {
    return bad_request("priority: this server was not started with --scheduling-policy priority", "priority");
  }
  if (request.truncate_prompt_tokens && *request.truncate_prompt_tokens < -1) {
    return bad_request("truncate_prompt_tokens: must be -1 or more", "truncate_prompt_tokens");
  }
  if (auto salt = check_salt(request); !salt) {
    return salt;
  }
  return refuse_missing_features(request);
}

Api<SamplingParams> sampling_params(const CommonRequest& request, const ServedModel& model, OutputLimit limit,
                                    std::optional<int> logprobs, int prompt_length) {
  const GenerationDefaults& defaults = model.defaults;
  SamplingParams params;
  params.temperature = request.temperature.value_or(defaults.temperature.value_or(1.0));
  params.top_p = request.top_p.value_or(defaults.top_p.value_or(1.0));
  params.top_k = request.top_k.value_or(defaults.top_k.value_or(0));
  params.min_p = request.min_p.value_or(defaults.min_p.value_or(0.0));
  params.repetition_penalty = request.repetition_penalty.value_or(defaults.repetition_penalty.value_or(1.0));
  params.presence_penalty = request.presence_penalty.value_or(0.0);
  params.frequency_penalty = request.frequency_penalty.value_or(0.0);
  if (request.seed) {
    params.seed = static_cast<std::uint64_t>(*request.seed);
  }
  params.stop = request.stop ? request.stop->items : std::vector<std::string>();
  params.stop_token_ids = request.stop_token_ids;
  params.allowed_token_ids = request.allowed_token_ids;
  params.bad_words = bad_word_tokens(request, model);
  params.include_stop_str_in_output = request.include_stop_str_in_output;
  params.ignore_eos = request.ignore_eos;
  params.min_tokens = request.min_tokens;
  params.skip_special_tokens = request.skip_special_tokens.value_or(true);
  params.logprobs = logprobs;
  params.prompt_logprobs = request.prompt_logprobs;
  auto bias = parse_logit_bias(request);
  if (!bias) {
    return std::unexpected(bias.error());
  }
  params.logit_bias = std::move(*bias);
  const auto max_tokens = output_limit(limit, model, prompt_length);
  if (!max_tokens) {
    return std::unexpected(max_tokens.error());
  }
  params.max_tokens = *max_tokens;
  auto constraint = constraint_of(request, model);
  if (!constraint) {
    return std::unexpected(constraint.error());
  }
  params.constraint = std::move(*constraint);
  if (const auto checked = check(params, model.tokenizer->vocab_size(), model.max_logprobs); !checked) {
    return std::unexpected(parameter_error(checked.error()));
  }
  return params;
}

Api<std::vector<Token>> completion_prompt(const ServedModel& model, const Prompt& prompt,
                                          bool add_special_tokens) {
  std::vector<Token> tokens;
  if (const auto* text = std::get_if<std::string>(&prompt)) {
    tokens = model.tokenizer->encode(*text, {.add_special_tokens = add_special_tokens});
  } else {
    tokens = std::get<std::vector<Token>>(prompt);
    for (const Token token : tokens) {
      if (token < 0 || token >= model.tokenizer->vocab_size()) {
        return bad_request(fmt::format("prompt: token id {} is out of vocabulary", token), "prompt");
      }
    }
  }
  if (tokens.empty()) {
    return bad_request("prompt: must not be empty", "prompt");
  }
  return tokens;
}

void truncate_prompt(std::vector<Token>& prompt, const CommonRequest& request, const ServedModel& model) {
  if (!request.truncate_prompt_tokens) {
    return;
  }
  const int wanted = *request.truncate_prompt_tokens;
  const auto keep = static_cast<std::size_t>(std::max(1, wanted < 0 ? model.max_model_len - 1 : wanted));
  if (prompt.size() > keep) {
    prompt.erase(prompt.begin(), prompt.end() - static_cast<std::ptrdiff_t>(keep));
  }
}

}  // namespace llmd::engine
