// Documents as users have them: each loads, decides, and says when it needs a flag. Test code only.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "picker/picker.h"

namespace llmd::picker {

struct Sample {
  std::string_view name;
  std::string_view text;
  bool experimental = false;
};

inline void PrintTo(const Sample& sample, std::ostream* out) {
  *out << sample.name;
}

inline void expect_to_load_and_decide(const Sample& sample) {
  auto picker =
      Picker::from_config(sample.text, sample.name, {.load = {.allow_experimental = true, .seed = 1}});
  ASSERT_TRUE(picker) << picker.error().text();
  std::vector<Endpoint> endpoints;
  for (const char* role : {"prefill", "decode", "encode"}) {
    endpoints.push_back({.address = {"10.0.0.1", static_cast<std::uint16_t>(8000 + endpoints.size())},
                         .name = role,
                         .labels = {{"llm-d.ai/role", role}, {"inference-role", role}, {"app", "vllm"}}});
  }
  (*picker)->update(endpoints);
  const auto decision = (*picker)->pick({.id = "r", .model = "m", .prompt_bytes = 4000});
  EXPECT_TRUE(decision) << decision.error().message;
  if (!sample.experimental) {
    EXPECT_TRUE(Picker::from_config(sample.text, sample.name)) << "needs no flag";
  } else {
    const auto refused = Picker::from_config(sample.text, sample.name);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, testing::HasSubstr("--allow-experimental-plugins"));
  }
}

}  // namespace llmd::picker
