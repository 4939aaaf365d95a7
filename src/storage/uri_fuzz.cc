// Any text is a model URI or is refused with a reason, and its file name never leaves the folder.
#include <cstdint>

#include "base/assert.h"
#include "storage/uri.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace llmd;
  const auto uri = storage::parse_uri({reinterpret_cast<const char*>(data), size});
  if (!uri) {
    LLMD_ASSERT(!uri.error().message.empty(), "a refusal has a reason");
    return 0;
  }
  const std::string name = uri->file_name();
  LLMD_ASSERT(!name.empty() && name != ".." && name.find('/') == std::string::npos,
              "a file name is one step");
  return 0;
}
