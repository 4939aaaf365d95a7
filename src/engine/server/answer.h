// The answer to one request while it is made: collects the updates of its sequences into one body, or turns
// each into server-sent events. Completions and chat differ only in the JSON.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/core/generation.h"
#include "engine/server/tool_calls.h"
#include "tokenizer/tokenizer.h"

namespace llmd::engine {

struct Usage {
  long prompt_tokens = 0;
  long completion_tokens = 0;
  long cached_tokens = 0;
};

// What the answer's form depends on.
struct AnswerForm {
  std::string id;     // with its prefix
  std::string model;  // the name that was asked for
  long created = 0;   // seconds since 1970
  const tokenizer::Tokenizer* tokenizer = nullptr;
  int choices_per_prompt = 1;
  bool logprobs = false;
  bool prompt_logprobs = false;         // as a field of their own
  bool token_ids = false;               // return_token_ids
  bool tokens_as_ids = false;           // return_tokens_as_token_ids
  bool include_usage = false;           // a last chunk with it
  bool continuous_usage = false;        // in every chunk
  bool cached_tokens_in_usage = false;  // --enable-prompt-tokens-details
  int stream_interval = 1;              // tokens per chunk after the first
  std::vector<std::vector<Token>> prompts;
  std::vector<std::string> echo;  // per prompt; empty: no echo
  ToolForm tools;                 // chat: where calls are in the text
};

class Answer {
 public:
  explicit Answer(AnswerForm form);
  virtual ~Answer() = default;

  // Takes an update of sequence `index` (prompt * n + choice).
  void add(int index, Update update);
  // The same, and appends the events it makes to `out`.
  void stream(int index, Update update, std::string& out);
  // Behind the last update.
  void stream_end(std::string& out) const;
  std::string body() const;

  bool complete() const { return unfinished_ == 0; }
  const Usage& usage() const { return usage_; }

 protected:
  struct Choice {
    bool begun = false;
    std::string text;  // streaming: since the last chunk
    std::vector<Token> tokens;
    std::vector<PositionLogprobs> logprobs;
    std::vector<PositionLogprobs> prompt_logprobs;
    std::optional<Finish> finish;
    std::size_t text_offset = 0;  // of the next token's text, in characters
    int cached_tokens = 0;
  };

  virtual std::string_view object(bool chunk) const = 0;
  virtual void write_choice(std::string& out, int index, const Choice& choice) const = 0;
  // Further members of the whole body.
  virtual void write_tail(std::string&) const {}
  // One event's choice; `first` opens the choice (chat sends the role then).
  virtual void write_opening(std::string& out, int index) = 0;
  virtual void write_delta(std::string& out, int index, Choice& choice) = 0;

  void begin_chunk(std::string& out) const;  // data: {...,"choices":[
  void end_chunk(std::string& out) const;    // ]}\n\n
  // `called`: a choice that stopped has called tools.
  void write_finish(std::string& out, const Choice& choice, bool called = false) const;
  void write_usage(std::string& out) const;
  const AnswerForm& form() const { return form_; }
  const Choice& choice(int index) const { return choices_[static_cast<std::size_t>(index)]; }
  const std::vector<Token>& prompt_of(int index) const;
  const std::string* echo_of(int index) const;

 private:
  void write_head(std::string& out, bool chunk) const;
  void note(Choice& choice, int index, const Update& update);

  const AnswerForm form_;
  std::string chunk_head_;
  std::vector<Choice> choices_;
  std::size_t unfinished_;
  Usage usage_;
};

std::unique_ptr<Answer> make_chat_answer(AnswerForm form);
std::unique_ptr<Answer> make_completion_answer(AnswerForm form);

}  // namespace llmd::engine
