// Any page is read or refused with its line, and what was read is written so that it reads back.
#include <cmath>
#include <cstdint>

#include "base/assert.h"
#include "metrics/text_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace llmd;
  const auto page = metrics::parse_exposition({reinterpret_cast<const char*>(data), size});
  if (!page) {
    LLMD_ASSERT(page.error().message.starts_with("line "), "mistakes have a line");
    return 0;
  }
  std::string text;
  metrics::TextWriter writer(text);
  for (const auto& series : page->series) {
    std::vector<metrics::Label> labels;
    for (const auto& [name, value] : series.labels) {
      labels.push_back({name, value});
    }
    writer.sample(series.name, metrics::label_text(labels), series.value);
  }
  const auto again = metrics::parse_exposition(text);
  LLMD_ASSERT(again && again->series.size() == page->series.size(), "the written page reads back");
  for (std::size_t i = 0; i < page->series.size(); ++i) {
    const auto& before = page->series[i];
    const auto& after = again->series[i];
    LLMD_ASSERT(before.name == after.name && before.labels == after.labels, "with the same series");
    LLMD_ASSERT(before.value == after.value || std::isnan(before.value), "and the same values");
  }
  return 0;
}
