// Any text: never crashes; what is accepted has names and ports.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "picker/datalayer/endpoints_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file =
      llmd::picker::parse_endpoints({reinterpret_cast<const char*>(data), size}, "endpoints.yaml");
  if (file) {
    for (const auto& [pool, endpoints] : file->endpoints) {
      for (const auto& endpoint : endpoints) {
        if (endpoint.name.empty() || endpoint.address.port == 0) {
          std::abort();
        }
      }
    }
  }
  return 0;
}
