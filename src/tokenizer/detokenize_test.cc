#include "tokenizer/detokenize.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace llmd::tokenizer {
namespace {

std::string whole(std::string_view bytes) {
  Utf8Stream stream;
  auto text = stream.push(bytes);
  return text + stream.flush();
}

TEST(Utf8Stream, HoldsTheBeginningOfACharacterBack) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("a\xF0\x9F"), "a");
  EXPECT_TRUE(stream.holds_back());
  EXPECT_EQ(stream.push("\x98"), "");
  EXPECT_EQ(stream.push("\x80z"), "\xF0\x9F\x98\x80z");
  EXPECT_EQ(stream.flush(), "");
}

TEST(Utf8Stream, AnEndInsideACharacterBecomesOneReplacement) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("\xE4\xBD"), "");
  EXPECT_EQ(stream.flush(), "\uFFFD");
  EXPECT_EQ(stream.flush(), "");
}

struct Invalid {
  std::string bytes;
  std::string text;
};
class InvalidUtf8 : public testing::TestWithParam<Invalid> {};

// What bytes.decode(errors="replace") gives.
TEST_P(InvalidUtf8, BecomesOneReplacementPerMaximalPart) {
  EXPECT_EQ(whole(GetParam().bytes), GetParam().text);
}

INSTANTIATE_TEST_SUITE_P(Sequences, InvalidUtf8,
                         testing::Values(Invalid{"\xff", "\uFFFD"}, Invalid{"\x80\x80", "\uFFFD\uFFFD"},
                                         Invalid{"\xE4\xBDx", "\uFFFDx"}, Invalid{"\xC0\xAF", "\uFFFD\uFFFD"},
                                         Invalid{"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
                                         Invalid{"\xF0\x9F\x98\xE4\xBD\xA0", "\uFFFD\u4F60"},
                                         Invalid{"\xF5\x80", "\uFFFD\uFFFD"},
                                         Invalid{"\xE0\x80\x80", "\uFFFD\uFFFD\uFFFD"}));

TEST(Utf8Stream, GivesTheSameTextHoweverTheBytesAreCut) {
  const std::string bytes = "a\xC3\xA9\xE4\xBD\xA0\xF0\x9F\x98\x80\xff\xF0\x9F\xE4\xBD!\xED\xA0\x80\xC3";
  const auto expected = whole(bytes);
  for (std::size_t first = 0; first <= bytes.size(); ++first) {
    for (std::size_t second = first; second <= bytes.size(); ++second) {
      Utf8Stream stream;
      auto text = stream.push(bytes.substr(0, first));
      text += stream.push(bytes.substr(first, second - first));
      text += stream.push(bytes.substr(second));
      text += stream.flush();
      EXPECT_EQ(text, expected) << first << " " << second;
    }
  }
}

}  // namespace
}  // namespace llmd::tokenizer
