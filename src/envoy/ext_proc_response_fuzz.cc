// Any bytes as a ProcessingResponse: nothing is read outside of them, and every view lies within.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "envoy/ext_proc_client.h"

namespace {

void inside(std::string_view view, std::string_view all) {
  if (!view.empty() && (view.data() < all.data() || view.data() + view.size() > all.data() + all.size())) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  llmd::envoy::ProcessingResponse message;
  if (!llmd::envoy::parse_response(bytes, message)) {
    return 0;
  }
  inside(message.body, bytes);
  inside(message.immediate_body, bytes);
  for (const auto& change : message.set) {
    inside(change.name, bytes);
    inside(change.value, bytes);
  }
  for (const std::string_view name : message.remove) {
    inside(name, bytes);
  }
  if (const auto text = llmd::envoy::struct_text(message.dynamic_metadata, "envoy.lb", "endpoint")) {
    inside(*text, bytes);
  }
  return 0;
}
