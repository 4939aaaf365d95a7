#include "engine/server/answer.h"

#include <algorithm>
#include <iterator>

#include "engine/server/json_text.h"

namespace llmd::engine {
namespace {

template <typename T>
void append_to(std::vector<T>& to, std::vector<T>& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

Answer::Answer(AnswerForm form)
    : form_(std::move(form)),
      choices_(form_.prompts.size() * static_cast<std::size_t>(form_.choices_per_prompt)),
      unfinished_(choices_.size()) {
  for (const std::vector<Token>& prompt : form_.prompts) {
    usage_.prompt_tokens += static_cast<long>(prompt.size());
  }
}

void Answer::note(Choice& choice, int index, const Update& update) {
  usage_.completion_tokens += static_cast<long>(update.tokens.size());
  // The prompt is counted once, however many choices it has.
  if (!choice.begun && index % form_.choices_per_prompt == 0) {
    usage_.cached_tokens += update.cached_tokens;
  }
  if (update.finish && !choice.finish) {
    --unfinished_;
  }
}

void Answer::add(int index, Update update) {
  Choice& choice = choices_[static_cast<std::size_t>(index)];
  note(choice, index, update);
  choice.begun = true;
  choice.text += update.text;
  append_to(choice.tokens, update.tokens);
  append_to(choice.logprobs, update.logprobs);
  append_to(choice.prompt_logprobs, update.prompt_logprobs);
  if (update.finish) {
    choice.finish = std::move(update.finish);
  }
}

void Answer::stream(int index, Update update, std::string& out) {
  Choice& choice = choices_[static_cast<std::size_t>(index)];
  const bool first = !choice.begun;
  add(index, std::move(update));
  if (first) {
    write_opening(out, index);
  }
  // What is held back (half a character, perhaps a stop string) waits for its chunk; scores wait with their
  // text.
  const bool enough = first || static_cast<int>(choice.tokens.size()) >= form_.stream_interval;
  const bool has_content =
      !choice.text.empty() || (form_.logprobs && !choice.logprobs.empty()) || form_.token_ids;
  if (!choice.finish && !(enough && has_content)) {
    return;
  }
  if (chunk_head_.empty()) {
    write_head(chunk_head_, true);
  }
  begin_chunk(out);
  write_delta(out, index, choice);
  end_chunk(out);
  choice.text.clear();
  choice.tokens.clear();
  choice.logprobs.clear();
}

void Answer::stream_end(std::string& out) const {
  if (form_.include_usage) {
    out += "data: {";
    write_head(out, true);
    out += R"(,"choices":[],"usage":)";
    write_usage(out);
    out += "}\n\n";
  }
  out += "data: [DONE]\n\n";
}

std::string Answer::body() const {
  std::string out = "{";
  write_head(out, false);
  out += R"(,"choices":[)";
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    out += i == 0 ? "" : ",";
    write_choice(out, static_cast<int>(i), choices_[i]);
  }
  out += R"(],"service_tier":null,"system_fingerprint":null,"usage":)";
  write_usage(out);
  write_tail(out);
  out += R"(,"kv_transfer_params":null)";
  out += "}";
  return out;
}

void Answer::write_head(std::string& out, bool chunk) const {
  out += R"("id":)";
  json::write_quoted_to(out, form_.id);
  add_text(out, "object", object(chunk));
  add_number(out, "created", form_.created);
  add_text(out, "model", form_.model);
}

void Answer::begin_chunk(std::string& out) const {
  out += "data: {";
  if (chunk_head_.empty()) {
    write_head(out, true);
  } else {
    out += chunk_head_;
  }
  out += R"(,"choices":[)";
}

void Answer::end_chunk(std::string& out) const {
  out += ']';
  if (form_.continuous_usage) {
    out += R"(,"usage":)";
    write_usage(out);
  }
  out += "}\n\n";
}

void Answer::write_finish(std::string& out, const Choice& choice, bool called) const {
  if (!choice.finish) {
    out += R"(,"finish_reason":null,"stop_reason":null)";
    return;
  }
  called = called && choice.finish->reason == FinishReason::Stop;
  add_text(out, "finish_reason", called ? "tool_calls" : to_string(choice.finish->reason));
  add_key(out, "stop_reason");
  if (const auto* token = std::get_if<Token>(&choice.finish->stop_reason)) {
    out += std::to_string(*token);
  } else if (const auto* text = std::get_if<std::string>(&choice.finish->stop_reason)) {
    json::write_quoted_to(out, *text);
  } else {
    out += "null";
  }
}

void Answer::write_usage(std::string& out) const {
  out += '{';
  add_number(out, "prompt_tokens", usage_.prompt_tokens);
  add_number(out, "total_tokens", usage_.prompt_tokens + usage_.completion_tokens);
  add_number(out, "completion_tokens", usage_.completion_tokens);
  if (form_.cached_tokens_in_usage && usage_.cached_tokens > 0) {
    out += fmt::format(R"(,"prompt_tokens_details":{{"cached_tokens":{}}})", usage_.cached_tokens);
  } else {
    out += R"(,"prompt_tokens_details":null)";
  }
  out += '}';
}

const std::vector<Token>& Answer::prompt_of(int index) const {
  return form_.prompts[static_cast<std::size_t>(index / form_.choices_per_prompt)];
}

const std::string* Answer::echo_of(int index) const {
  return form_.echo.empty() ? nullptr
                            : &form_.echo[static_cast<std::size_t>(index / form_.choices_per_prompt)];
}

}  // namespace llmd::engine
