// The spans that a test's tracer made. For tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>

#include "trace/span.h"

namespace llmd::trace {

struct CollectedSpans final : SpanSink {
  std::vector<FinishedSpan> spans;
  void take(FinishedSpan span) override { spans.push_back(std::move(span)); }

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const FinishedSpan& span : spans) {
      names.push_back(span.name);
    }
    return names;
  }
  // An empty one, and a failure, where there is none.
  const FinishedSpan& named(std::string_view name) const {
    static const FinishedSpan kNone;
    const auto found = std::ranges::find(spans, name, &FinishedSpan::name);
    EXPECT_NE(found, spans.end()) << name;
    return found == spans.end() ? kNone : *found;
  }
};

template <typename Value>
Value attribute_of(const FinishedSpan& span, std::string_view key) {
  const auto found = std::ranges::find(span.attributes, key, &Attribute::key);
  EXPECT_NE(found, span.attributes.end()) << key;
  return found == span.attributes.end() ? Value() : std::get<Value>(found->value);
}
inline std::string text_of(const FinishedSpan& span, std::string_view key) {
  return attribute_of<std::string>(span, key);
}
inline std::int64_t number_of(const FinishedSpan& span, std::string_view key) {
  return attribute_of<std::int64_t>(span, key);
}

}  // namespace llmd::trace
