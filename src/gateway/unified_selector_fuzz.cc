// The first line is the request's target, the rest its body: selecting does no harm, and what is selected
// from a body that is valid JSON is a string of that body.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "gateway/answer_usage.h"
#include "gateway/unified_selector.h"
#include "json/value.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace llmd;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t line = text.find('\n');
  http::RequestHead head;
  head.target = text.substr(0, line);
  const std::string_view body = line == std::string_view::npos ? std::string_view() : text.substr(line + 1);
  const auto selector = gateway::read_selector(head, body, false);
  const std::string stripped = gateway::without_selector(head.target);
  if (gateway::without_selector(stripped) != stripped) {
    std::abort();
  }
  if (selector && selector->in_body && json::parse_object(body)) {
    const auto changed =
        openai::with_members_changed(body, selector->to_remove, &*selector->in_body, selector->model);
    if (!json::parse_object(changed)) {
      std::abort();
    }
  }
  static_cast<void>(gateway::usage_in(body));
  return 0;
}
