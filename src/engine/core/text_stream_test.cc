#include "engine/core/text_stream.h"

#include <gtest/gtest.h>

#include <random>

namespace llmd::engine {
namespace {

struct Told {
  std::string text;
  std::optional<std::size_t> stop;
};

// Feeds `bytes` in pieces of the given sizes, taking after each push.
Told tell(std::string_view bytes, const std::vector<std::string>& stops,
          const std::vector<std::size_t>& sizes, bool include = false) {
  TextStream stream(stops, include);
  Told told;
  for (std::size_t i = 0; !bytes.empty(); ++i) {
    const std::size_t n = std::min(bytes.size(), sizes[i % sizes.size()]);
    told.stop = stream.push(bytes.substr(0, n));
    bytes.remove_prefix(n);
    if (told.stop) {
      break;
    }
    told.text += stream.take();
  }
  told.text += stream.finish();
  return told;
}

TEST(TextStream, EndsBeforeTheStopStringOrBehindItWhenIncluded) {
  EXPECT_EQ(tell("one two three", {"two"}, {1}).text, "one ");
  EXPECT_EQ(tell("one two three", {"two"}, {1}, true).text, "one two");
  EXPECT_EQ(tell("one two three", {"four"}, {1}).text, "one two three");
}

TEST(TextStream, ShowsNothingThatMayBecomeAStopString) {
  TextStream stream({"<end>"}, false);
  stream.push("hello <e");
  EXPECT_EQ(stream.take(), "hello ");
  stream.push("ggs");
  EXPECT_EQ(stream.take(), "<eggs");
  stream.push("<en");
  EXPECT_EQ(stream.take(), "");
  EXPECT_EQ(stream.finish(), "<en") << "at the end it was only text";
}

TEST(TextStream, TheStopStringThatEndsFirstWinsAndOfThoseTheLongest) {
  EXPECT_EQ(tell("a long stop here", {"stop here", "stop"}, {100}).stop, 1U);
  EXPECT_EQ(tell("xabcx", {"bc", "abc"}, {100}).text, "x");
}

TEST(TextStream, SearchesNothingBeforeMinTokens) {
  TextStream stream({"ab"}, false);
  EXPECT_FALSE(stream.push("xaba", false));
  EXPECT_FALSE(stream.push("b"));  // would begin in the exempt part
  EXPECT_TRUE(stream.push("ab"));
  EXPECT_EQ(stream.finish(), "xabab");
}

TEST(TextStream, HoldsBackHalfCharactersAndRepairsBrokenOnes) {
  TextStream stream({}, false);
  stream.push("\xE2\x82");
  EXPECT_EQ(stream.take(), "");
  stream.push("\xAC");
  EXPECT_EQ(stream.take(), "€");
  stream.push("\xFFz\xE2\x82");
  EXPECT_EQ(stream.take(), "\xEF\xBF\xBDz");
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
}

TEST(TextStream, TellsTheSameHoweverTheBytesAreCut) {
  std::mt19937 random(3);
  const auto up_to = [&](int n) { return static_cast<std::size_t>(random() % static_cast<unsigned>(n)); };
  const std::string alphabet[] = {"a", "b", "c", "ab", "\xC3\xA4", "\xF0\x9F\x98\x80", "\xFF", "\xE2\x82"};
  for (int round = 0; round < 20000; ++round) {
    std::string bytes;
    for (std::size_t i = up_to(12); i > 0; --i) {
      bytes += alphabet[up_to(8)];
    }
    std::vector<std::string> stops(up_to(4));
    for (std::string& stop : stops) {
      stop = alphabet[up_to(6)];
      for (std::size_t i = up_to(3); i > 0; --i) {
        stop += alphabet[up_to(6)];
      }
    }
    const bool include = up_to(2) == 0;
    const Told whole = tell(bytes, stops, {bytes.size() + 1}, include);
    const Told cut = tell(bytes, stops, {1 + up_to(3), 1 + up_to(3), 1 + up_to(3)}, include);
    ASSERT_EQ(whole.text, cut.text) << "round " << round;
    ASSERT_EQ(whole.stop, cut.stop) << "round " << round;
  }
}

}  // namespace
}  // namespace llmd::engine
