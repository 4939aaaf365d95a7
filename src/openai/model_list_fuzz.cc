// A list of models is read without harm, and what is written reads back the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "openai/model_list.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace llmd::openai;
  const auto cards = parse_model_list({reinterpret_cast<const char*>(data), size});
  if (!cards) {
    return 0;
  }
  std::vector<ListedCard> listed;
  for (const ModelCard& card : *cards) {
    listed.push_back({.card = card, .stale = false, .via = {}});
  }
  if (parse_model_list(write_model_list(listed)) != cards) {
    std::abort();
  }
  return 0;
}
