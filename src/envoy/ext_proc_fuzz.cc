// Any bytes as a ProcessingRequest: nothing is read outside of them, and every view lies within.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "envoy/ext_proc.h"

namespace {

void inside(std::string_view view, std::string_view all) {
  if (!view.empty() && (view.data() < all.data() || view.data() + view.size() > all.data() + all.size())) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  llmd::envoy::ProcessingRequest message;
  if (!llmd::envoy::parse_request(bytes, message)) {
    return 0;
  }
  inside(message.body, bytes);
  inside(message.metadata_context, bytes);
  for (const auto& [name, value] : message.headers) {
    inside(name, bytes);
    inside(value, bytes);
  }
  if (const auto texts = llmd::envoy::metadata_texts(message.metadata_context, "envoy.lb.subset_hint",
                                                     "x-gateway-destination-endpoint-subset")) {
    for (const std::string_view text : *texts) {
      inside(text, bytes);
    }
  }
  return 0;
}
