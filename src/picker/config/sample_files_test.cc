// The documents under testdata: what deployments, charts, guides and end-to-end tests of llm-d use, written
// anew in their shapes.
#include <algorithm>
#include <deque>
#include <filesystem>

#include "base/file.h"
#include "picker/config/sample_configurations.h"

namespace llmd::picker {
namespace {

// Read once; samples are views into what is kept here.
const std::vector<Sample>& samples() {
  static std::deque<std::string> kept;
  static const std::vector<Sample> all = [] {
    std::vector<Sample> read;
    const std::filesystem::path folder =
        std::filesystem::path(LLMD_SOURCE_DIR) / "src/picker/config/testdata";
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      const std::string& name = kept.emplace_back(entry.path().stem().string());
      const std::string& text = kept.emplace_back(read_file(entry.path()).value());
      read.push_back({name, text, text.find("# needs --allow-experimental-plugins") != std::string::npos});
    }
    std::ranges::sort(read, {}, &Sample::name);
    return read;
  }();
  return all;
}

class SampleFiles : public testing::TestWithParam<Sample> {};

TEST_P(SampleFiles, LoadAndDecide) {
  expect_to_load_and_decide(GetParam());
}

TEST_P(SampleFiles, HaveNothingThatACheckObjectsTo) {
  const auto report = check_configuration(GetParam().text, GetParam().name, {.allow_experimental = true});
  EXPECT_THAT(report.errors, testing::IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(All, SampleFiles, testing::ValuesIn(samples()),
                         [](const testing::TestParamInfo<Sample>& info) {
                           std::string name(info.param.name);
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace llmd::picker
