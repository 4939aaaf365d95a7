// Any body becomes a job within the model's limits, or an error of status 400, 404 or 501 with a message.
#include <cstdint>

#include "base/assert.h"
#include "engine/server/generation_job.h"
#include "engine/sim/sim_tokenizer.h"
#include "json/value.h"

namespace {

llmd::engine::ServedModel make_model() {
  llmd::engine::ServedModel model;
  model.names = {"m"};
  model.max_model_len = 100000;
  model.tokenizer = std::make_shared<llmd::engine::sim::SimTokenizer>();
  model.format_chat = [](const llmd::tokenizer::ChatInput& input,
                         const std::string&) -> llmd::Result<std::string> {
    return llmd::json::write(llmd::json::Value(input.messages));
  };
  return model;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace llmd::engine;
  static const ServedModel kModel = make_model();
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  for (const auto make : {&chat_job, &completion_job}) {
    const auto job = make(body, kModel);
    if (!job) {
      LLMD_ASSERT(job.error().status == 400 || job.error().status == 501, "the client's mistake");
      LLMD_ASSERT(llmd::json::parse(error_body(job.error())).has_value(), "error bodies are JSON");
      continue;
    }
    LLMD_ASSERT(!job->form.prompts.empty(), "something to compute");
    for (const auto& prompt : job->form.prompts) {
      LLMD_ASSERT(!prompt.empty(), "no empty prompt");
      LLMD_ASSERT(static_cast<int>(prompt.size()) + job->params.max_tokens <= kModel.max_model_len,
                  "within the limit");
    }
  }
  return 0;
}
