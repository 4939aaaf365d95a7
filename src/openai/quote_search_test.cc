#include "openai/quote_search.h"

#include <gtest/gtest.h>

#include <string>

namespace llmd::openai {
namespace {

std::size_t found_one_by_one(std::string_view bytes, std::size_t at) {
  while (at < bytes.size() && bytes[at] != '"' && bytes[at] != '\\') {
    ++at;
  }
  return at;
}

// Lengths and places around every stride that the search takes.
TEST(QuoteSearchTest, FindsTheFirstQuoteOrBackslashWhereverItStands) {
  for (const std::size_t size : {0U, 1U, 15U, 16U, 17U, 63U, 64U, 65U, 127U, 200U, 255U, 333U, 450U}) {
    for (const std::size_t begin : {0U, 1U, 7U, 64U, 100U}) {
      std::string text(size, 'a');
      EXPECT_EQ(find_quote_or_backslash(text, std::min(begin, size)), size);
      for (std::size_t place = 0; place < size; ++place) {
        for (const char wanted : {'"', '\\'}) {
          text[place] = wanted;
          if (place + 3 < size) {
            text[place + 3] = '"';  // a later one does not win
          }
          EXPECT_EQ(find_quote_or_backslash(text, std::min(begin, size)),
                    found_one_by_one(text, std::min(begin, size)))
              << wanted << " at " << place << " of " << size << " from " << begin;
          text.assign(size, 'a');
        }
      }
    }
  }
}

TEST(QuoteSearchTest, NoOtherByteIsTakenForOne) {
  std::string text;
  for (int repeat = 0; repeat < 3; ++repeat) {
    for (int value = 0; value < 256; ++value) {
      if (value != '"' && value != '\\') {
        text += static_cast<char>(value);
      }
    }
  }
  EXPECT_EQ(find_quote_or_backslash(text, 0), text.size());
}

}  // namespace
}  // namespace llmd::openai
