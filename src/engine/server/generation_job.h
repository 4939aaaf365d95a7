// A parsed and tokenised generation request, ready for the engine. Made on any thread from the body alone;
// which adapter it means is decided on the loop.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/core/generation.h"
#include "engine/server/answer.h"
#include "engine/server/requests.h"
#include "engine/server/served_model.h"

namespace llmd::engine {

enum class Endpoint { Completions, Chat };

struct GenerationJob {
  Endpoint endpoint = Endpoint::Chat;
  CommonRequest common;
  AnswerForm form;  // without id, model name and server-wide settings
  SamplingParams params;
  bool limited = false;     // the client gave a limit
  std::vector<Token> echo;  // what a simulated model would echo
};

Api<GenerationJob> completion_job(std::string_view body, const ServedModel& model);
Api<GenerationJob> chat_job(std::string_view body, const ServedModel& model);

}  // namespace llmd::engine
