#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/result.h"
#include "base/strings.h"

namespace llmd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

Result<int> half(int n) {
  if (n % 2 != 0) {
    return invalid_argument("{} is odd", n).hint("try an even number");
  }
  return n / 2;
}

Result<int> quarter(int n) {
  LLMD_TRY(const int once, half(n));
  LLMD_TRY(const int twice, half(once));
  return twice;
}

TEST(Result, CarriesTheValueThroughTwoCalls) {
  EXPECT_EQ(quarter(8), 2);
}

TEST(Result, StopsAtTheFirstErrorAndKeepsItsHint) {
  const auto result = quarter(6);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().text(), "3 is odd (try an even number)");
}

TEST(Error, ContextIsAddedInFront) {
  EXPECT_EQ(not_found("no such pod").within("listing").message, "listing: no such pod");
}

TEST(Error, KindsMapToHttpAndBack) {
  EXPECT_EQ(http_status(ErrorKind::DeadlineExceeded), 504);
  EXPECT_EQ(kind_of_http_status(404), ErrorKind::NotFound);
  EXPECT_EQ(kind_of_http_status(418), ErrorKind::InvalidArgument);
}

TEST(Strings, TheNearestNameForgivesTyposAndStyle) {
  constexpr std::array<std::string_view, 3> names{"replicas", "template", "maxModelLen"};
  EXPECT_EQ(nearest_name("replcias", names), "replicas");
  EXPECT_EQ(nearest_name("max_model_len", names), "maxModelLen");
  EXPECT_EQ(nearest_name("zzz", names), std::nullopt);
}

TEST(Strings, SplitKeepsEmptyPieces) {
  EXPECT_THAT(split("a,,b,", ','), ElementsAre("a", "", "b", ""));
}

TEST(Clock, DurationsAreReadAsGoWritesThem) {
  EXPECT_EQ(parse_duration("1h30m"), Duration(90min));
  EXPECT_EQ(parse_duration("1.5s"), Duration(1500ms));
  EXPECT_FALSE(parse_duration("15"));
  EXPECT_FALSE(parse_duration("5 parsecs"));
}

TEST(Clock, Rfc3339RoundTrips) {
  const auto time = parse_rfc3339("2026-01-02T03:04:05Z");
  ASSERT_TRUE(time);
  EXPECT_EQ(to_rfc3339(*time), "2026-01-02T03:04:05Z");
}

TEST(File, AWrittenFileIsReadBackAndAMissingOneNamesItsPath) {
  const auto path = std::filesystem::temp_directory_path() / "llmd-base-test-file";
  ASSERT_TRUE(write_file_atomically(path, "hello", 0600));
  EXPECT_EQ(read_file(path), "hello");
  std::filesystem::remove(path);
  const auto missing = read_file(path);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::NotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("llmd-base-test-file"));
}

TEST(Log, AJsonLineEscapesWhatAFieldContains) {
  std::string captured;
  log::set_sink([&](log::Level, std::string_view line) { captured = line; });
  log::configure(log::Level::Info, log::Format::Json);
  log::info("said", {{"text", "a \"b\"\n"}, {"count", 3}});
  log::set_sink({});
  EXPECT_THAT(captured, HasSubstr(R"("event":"said","text":"a \"b\"\n","count":3})"));
}

}  // namespace
}  // namespace llmd
