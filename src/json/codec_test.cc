#include "json/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace llmd::json {

enum class Restart { Always, OnFailure, never_ };
BOOST_DESCRIBE_ENUM(Restart, Always, OnFailure, never_)

enum class Unit { kBytes, kTokens };
BOOST_DESCRIBE_ENUM(Unit, kBytes, kTokens)
std::string_view wire_name(Unit unit) {
  return unit == Unit::kBytes ? "bytes" : "tokens";
}

struct IntOrString {
  std::string text;
  bool operator==(const IntOrString&) const = default;
};
void json_decode(const Value& value, IntOrString& into, Report& report) {
  if (value.is_string()) {
    into.text = value.get_string();
  } else if (const auto number = as_integer(value)) {
    into.text = std::to_string(*number);
  } else {
    report.expected("an integer or a string", value);
  }
}
Value json_encode(const IntOrString& from) {
  return Value(from.text);
}

struct Probe {
  int periodSeconds = 10;
  std::optional<IntOrString> port;
};
BOOST_DESCRIBE_STRUCT(Probe, (), (periodSeconds, port))
void validate(const Probe& probe, Report& report) {
  if (probe.periodSeconds <= 0) {
    report.add("periodSeconds", "must be positive, got {}", probe.periodSeconds);
  }
}

struct Container {
  std::string name;
  std::vector<std::string> args;
  std::map<std::string, std::string> env;
  std::optional<Probe> probe;
  Restart restart = Restart::Always;
  Unit unit = Unit::kBytes;
};
BOOST_DESCRIBE_STRUCT(Container, (), (name, args, env, probe, restart, unit))

struct Base {
  std::string kind;
};
BOOST_DESCRIBE_STRUCT(Base, (), (kind))

struct Spec : Base {
  std::uint8_t replicas = 1;
  std::uint64_t seed = 0;
  double weight = 0.5;
  bool paused = false;
  Duration timeout = std::chrono::seconds(90);
  std::string namespace_;
  std::vector<Container> containers;
  Value raw;
};
BOOST_DESCRIBE_STRUCT(Spec, (Base), (replicas, seed, weight, paused, timeout, namespace_, containers, raw))

namespace {

using ::testing::ElementsAre;

std::vector<std::string> mistakes_in(std::string_view text) {
  std::vector<std::string> lines;
  for (const Mistake& mistake : decode_all<Spec>(*parse(text)).mistakes) {
    lines.push_back(mistake.text());
  }
  return lines;
}

constexpr std::string_view kComplete =
    R"({"kind":"K","replicas":3,"seed":18446744073709551615,"weight":1.0,"paused":true,"timeout":"1m30s",)"
    R"("namespace":"n","containers":[{"name":"main","args":["a"],"env":{"A":"b"},)"
    R"("probe":{"periodSeconds":5,"port":"http"},"restart":"never","unit":"tokens"}],"raw":{"x":[1]}})";

TEST(Codec, WritesEveryMemberItRead) {
  const auto spec = decode<Spec>(*parse(kComplete));
  ASSERT_TRUE(spec) << spec.error().text();
  EXPECT_EQ(spec->seed, UINT64_MAX);
  EXPECT_EQ(spec->containers.at(0).restart, Restart::never_);
  EXPECT_EQ(spec->timeout, std::chrono::seconds(90));
  EXPECT_EQ(write(encode(*spec)), kComplete);
}

TEST(Codec, AbsentAndNullMembersKeepTheirDefaults) {
  const auto spec = decode<Spec>(*parse(R"({"replicas":null})"));
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->replicas, 1);
  EXPECT_EQ(spec->weight, 0.5);
}

TEST(Codec, LeavesOutEmptyMembersWhenAsked) {
  Container container{.name = "main", .probe = Probe{}};
  EXPECT_EQ(write(encode(container, {.omit_empty = true})),
            R"({"name":"main","probe":{"periodSeconds":10},"restart":"Always","unit":"bytes"})");
}

TEST(Codec, NamesEveryMistakeWithItsPath) {
  EXPECT_THAT(
      mistakes_in(R"({"replcas":2,"replicas":"2","paused":1,"containers":[{"name":7},{"args":{}}]})"),
      ElementsAre("replcas: unknown field (did you mean 'replicas'?)",
                  "replicas: expected an integer, got a string", "paused: expected a boolean, got an integer",
                  "containers[0].name: expected a string, got an integer (put it in quotes: \"7\")",
                  "containers[1].args: expected a list, got an object"));
}

TEST(Codec, ChecksRangesAndValidatesNestedTypes) {
  EXPECT_THAT(mistakes_in(R"({"replicas":256})"), ElementsAre("replicas: must be at most 255, got 256"));
  EXPECT_THAT(mistakes_in(R"({"replicas":-1})"), ElementsAre("replicas: must be at least 0, got -1"));
  EXPECT_THAT(mistakes_in(R"({"replicas":1.5})"), ElementsAre("replicas: expected an integer, got 1.5"));
  EXPECT_THAT(mistakes_in(R"({"timeout":"90"})"),
              ElementsAre("timeout: '90' is not a duration (write it like 300ms, 1.5s or 1h30m)"));
  EXPECT_THAT(mistakes_in(R"({"containers":[{"probe":{"periodSeconds":0}}]})"),
              ElementsAre("containers[0].probe.periodSeconds: must be positive, got 0"));
  EXPECT_THAT(
      mistakes_in(R"({"containers":[{"probe":{"port":true},"env":{"a.b":1}}]})"),
      ElementsAre("containers[0].probe.port: expected an integer or a string, got a boolean",
                  "containers[0].env[a.b]: expected a string, got an integer (put it in quotes: \"1\")"));
}

TEST(Codec, SuggestsEnumerators) {
  EXPECT_THAT(
      mistakes_in(R"({"containers":[{"restart":"OnFailre"}]})"),
      ElementsAre(
          "containers[0].restart: unknown value \"OnFailre\"; expected one of Always, OnFailure, never "
          "(did you mean 'OnFailure'?)"));
}

TEST(Codec, FirstMistakeIsTheErrorOfDecode) {
  const auto spec = decode<Spec>(*parse(R"({"paused":"no","weigth":1})"), {.root = "items[2]"});
  ASSERT_FALSE(spec);
  EXPECT_EQ(spec.error().kind, ErrorKind::InvalidArgument);
  EXPECT_EQ(spec.error().message, "items[2].paused: expected a boolean, got a string");
  EXPECT_FALSE(decode<Spec>(Value(1)));
}

TEST(Codec, IgnoresUnknownFieldsWhenAsked) {
  EXPECT_TRUE(decode<Spec>(*parse(R"({"later":1})"), {.unknown_fields = UnknownFields::Ignore}));
}

TEST(Codec, WritesDurationsAsGoDoes) {
  using namespace std::chrono_literals;
  for (const auto& [duration, text] : std::vector<std::pair<Duration, std::string>>{{0s, "0s"},
                                                                                    {1500ms, "1.5s"},
                                                                                    {300ms, "300ms"},
                                                                                    {1h, "1h0m0s"},
                                                                                    {90min, "1h30m0s"},
                                                                                    {5us, "5us"},
                                                                                    {61s, "1m1s"}}) {
    EXPECT_EQ(detail::duration_text(duration), text);
    EXPECT_EQ(*parse_duration(text), duration);
  }
}

}  // namespace
}  // namespace llmd::json
