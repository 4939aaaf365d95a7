// Any bytes are a tokenizer.json: reading it ends with a tokenizer that encodes and decodes, or with an
// error.
#include <cstdint>
#include <string_view>

#include "tokenizer/bpe_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto parts = llmd::tokenizer::parts_from_json({reinterpret_cast<const char*>(data), size});
  if (!parts)
    return 0;
  const llmd::tokenizer::BpeTokenizer tokenizer(std::move(*parts));
  constexpr std::string_view kText = "Hello  wörld 123!\n\n<s>\xff don't \xE4\xBD\xA0";
  const auto tokens = tokenizer.encode(kText, {});
  (void)tokenizer.decode(tokens, false);
  return 0;
}
