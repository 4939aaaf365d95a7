// Whatever a picture's bytes are, its size is read without harm, from the file as from a URL of it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "crypto/encode.h"
#include "openai/image_size.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace llmd;
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  const auto direct = openai::image_size(file);
  (void)openai::image_size_of_url(file);
  const std::string url = "data:image/png;base64," + crypto::to_base64(file);
  if (size < 32 * 1024 && size % 3 == 0 && openai::image_size_of_url(url) != direct) {
    std::abort();
  }
  return 0;
}
