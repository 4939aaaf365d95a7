// Whatever a call's message holds: what is read of it is a body that the scan takes, or nothing, and answers
// count the same however they are cut.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "extproc/grpc_bodies.h"
#include "openai/request_scan.h"

namespace {

llmd::picker::Usage counted(std::string_view bytes, std::size_t step) {
  llmd::extproc::EngineAnswers answers;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(step, bytes.size()))) {
    answers.feed(bytes.substr(0, step));
  }
  return answers.usage();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const auto request = llmd::extproc::read_engine_request(body);
  if (request && !request->empty()) {
    llmd::openai::RequestScan scan;
    scan.feed(*request);
    if (!scan.finish()) {
      std::abort();
    }
  }
  const auto inside = llmd::extproc::read_http_body(body);
  if (inside && inside->size() > size) {
    std::abort();
  }
  const auto whole = counted(body, size + 1);
  const auto pieces = counted(body, size == 0 ? 1 : 1 + data[size - 1] % 7);
  if (whole.prompt_tokens != pieces.prompt_tokens || whole.completion_tokens != pieces.completion_tokens ||
      whole.cached_tokens != pieces.cached_tokens) {
    std::abort();
  }
  return 0;
}
