// Whatever a request of Anthropic's API holds becomes a chat request that can be read again, or an error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "json/path.h"
#include "openai/chat_of_messages.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const auto chat = llmd::openai::chat_of_messages(body, "m");
  if (!chat) {
    return 0;
  }
  const auto read = llmd::json::parse(*chat);
  if (!read || llmd::json::string_at(*read, "model") != "m" ||
      llmd::json::array_at(*read, "messages") == nullptr) {
    std::abort();
  }
  // What Python would write is JSON, and means the same.
  const auto again = llmd::json::parse(llmd::openai::json_of_python(*read));
  if (!again || *again != *read) {
    std::abort();
  }
  return 0;
}
