// The scan finds the same however the body is split.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "openai/request_scan.h"

namespace {

std::string seen(std::string_view body, std::size_t step) {
  llmd::openai::RequestScan scan;
  for (; !body.empty(); body.remove_prefix(std::min(step, body.size()))) {
    scan.feed(body.substr(0, step));
  }
  std::string text = scan.finish() ? "whole " : "broken ";
  text += scan.stream() ? "stream " : "";
  text += scan.model().value_or("-");
  if (scan.model_position()) {
    text +=
        " " + std::to_string(scan.model_position()->begin) + "-" + std::to_string(scan.model_position()->end);
  }
  text += " user=" + scan.user().value_or("-") + " salt=" + scan.cache_salt().value_or("-");
  text += " priority=" + std::to_string(scan.priority().value_or(-1));
  text += " most=" + std::to_string(scan.max_tokens().value_or(-1)) + (scan.multimodal() ? " media" : "");
  text += " bytes=" + std::to_string(scan.prompt_bytes());
  for (const auto& content : scan.media()) {
    text += " " + std::to_string(content.begin) + "-" + std::to_string(content.end) + "=" +
            std::to_string(content.hash);
  }
  text += scan.has_features() ? " features" : "";
  for (const std::uint32_t token : scan.tokens()) {
    text += " t" + std::to_string(token);
  }
  for (const std::uint64_t unit : scan.prompt_units()) {
    text += " " + std::to_string(unit);
  }
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  if (seen(body, size + 1) != seen(body, size == 0 ? 1 : 1 + data[size - 1] % 5)) {
    std::abort();
  }
  return 0;
}
