// What goes into an engine and what comes out: requests, updates, and the interface that the real and the
// simulated engine share.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine/core/sampler.h"
#include "engine/core/sampling_params.h"
#include "engine/core/sequence.h"

namespace llmd::engine {

// A loaded LoRA adapter under the name that requests select it by.
struct NamedAdapter {
  std::string name;
  std::string path;
  std::string base_model;     // `parent` of its model card
  std::uint64_t version = 0;  // differs when the same name is loaded again: cached blocks are not mixed up
  std::shared_ptr<const LoraAdapter> weights;
};

struct GenerationRequest {
  std::string id;             // for logs
  std::vector<Token> prompt;  // at least one token
  SamplingParams params;
  std::uint64_t group = 0;  // requests with the same prompt that were born together (n > 1); 0: none
  int choices = 1;          // n of the client's request: for metrics
  int priority = 0;
  std::string cache_salt;
  std::shared_ptr<const NamedAdapter> adapter;  // null: the base model
  TimePoint arrival = {};                       // of the HTTP request
  bool limited = true;      // the client gave max_tokens: the simulation draws its length under it
  std::vector<Token> echo;  // simulation: what mode "echo" answers with
};

enum class FinishReason { Stop, Length, Abort, Error };
std::string_view to_string(FinishReason reason);  // as in finish_reason

// The stop string or stop token that ended an answer; nothing for an end token or the length.
using StopReason = std::variant<std::monostate, Token, std::string>;

struct Finish {
  FinishReason reason = FinishReason::Stop;
  StopReason stop_reason;
  std::optional<Error> error;  // with FinishReason::Error
};

// What one step made of one sequence.
struct Update {
  std::vector<Token> tokens;  // new ones; empty for the end of a prompt that is only scored
  std::string text;           // what became certain: may lag behind the tokens, or be more than theirs
  std::vector<PositionLogprobs> logprobs;         // of `tokens`, when asked for
  std::vector<PositionLogprobs> prompt_logprobs;  // first update only: positions 1 and up, when asked for
  int cached_tokens = 0;
  std::optional<Finish> finish;  // the last update
};

// Receives the updates of one sequence, in order, on the engine's thread. Must not block.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual void on_update(Update update) = 0;
};

struct EngineLoad {
  int running = 0;
  int waiting = 0;
  double cache_usage = 0;  // 0 to 1
  std::vector<std::string> running_adapters;
  std::vector<std::string> waiting_adapters;
};

// Thread-safe.
class Engine {
 public:
  virtual ~Engine() = default;
  // ResourceExhausted when too many wait; Unavailable when the engine has died. Every accepted request ends
  // with an update that has `finish`, unless it is aborted.
  virtual Result<SequenceId> submit(GenerationRequest request, std::shared_ptr<Listener> listener) = 0;
  // Takes effect before the next step. Unknown ids (finished ones) are fine. The listener may still be called
  // shortly.
  virtual void abort(SequenceId id) = 0;
  // Forgets what the prefix cache holds, before the next step; while sequences run it stays, and the log says
  // so.
  virtual void reset_prefix_cache() = 0;
  virtual EngineLoad load() const = 0;
  // Unavailable with the reason once the engine cannot work any more.
  virtual Result<void> health() const = 0;
  virtual Result<std::shared_ptr<const LoraAdapter>> load_adapter(const std::filesystem::path& folder) = 0;
};

}  // namespace llmd::engine
