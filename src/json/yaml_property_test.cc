// Whatever the writer writes, the reader reads back as the same value.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "json/yaml.h"

namespace llmd::json {
namespace {

// Texts that YAML readers like to misunderstand, mixed with arbitrary ones.
rc::Gen<std::string> any_text() {
  static const std::vector<std::string> kTraps{"yes",
                                               "no",
                                               "null",
                                               "~",
                                               "",
                                               "1e3",
                                               "0644",
                                               "-",
                                               "- a",
                                               "a: b",
                                               "#x",
                                               " x",
                                               "x ",
                                               "\n",
                                               "a\n",
                                               "\na",
                                               "a\nb",
                                               " \n ",
                                               "'",
                                               "\"",
                                               "|",
                                               ">",
                                               "&a",
                                               "*a",
                                               "!t",
                                               "%d",
                                               "@",
                                               "`",
                                               "{",
                                               "}",
                                               "[",
                                               "a #b",
                                               "---",
                                               "...",
                                               "?",
                                               ": ",
                                               "\t",
                                               "a\tb",
                                               "1:30",
                                               "<<",
                                               "\xc2\x85",
                                               "\xe2\x80\xa8",
                                               "\xef\xbb\xbf",
                                               "é",
                                               "é\nb",
                                               "é\n",
                                               "a\n\xc2\x85\nb",
                                               "\xf0\x9f\x98\x80\nx",
                                               "a\n\xef\xbb\xbf",
                                               "\x7f",
                                               "a\n\n",
                                               "a\n b\n",
                                               "0x1F",
                                               "\r\n"};
  const auto ascii = rc::gen::container<std::string>(
      rc::gen::weightedOneOf<char>({{8, rc::gen::inRange<char>(' ', 127)},
                                    {2, rc::gen::elementOf(std::string("\n :#-'\"\\"))},
                                    {1, rc::gen::inRange<char>(0, 127)}}));
  return rc::gen::weightedOneOf<std::string>(
      {{2, rc::gen::elementOf(kTraps)},
       {3, ascii},
       {1, rc::gen::map(rc::gen::pair(ascii, rc::gen::elementOf(kTraps)),
                        [](std::pair<std::string, std::string> parts) {
                          return parts.first + parts.second + parts.first;
                        })}});
}

rc::Gen<Value> any_value(int depth) {
  const auto text = rc::gen::map(any_text(), [](const std::string& s) { return Value(s); });
  const auto number =
      rc::gen::map(rc::gen::arbitrary<std::int64_t>(), [](std::int64_t n) { return Value(n); });
  const auto fraction = rc::gen::map(rc::gen::arbitrary<int>(), [](int n) { return Value(n + 0.5); });
  const auto flag = rc::gen::map(rc::gen::arbitrary<bool>(), [](bool b) { return Value(b); });
  const auto scalar = rc::gen::weightedOneOf<Value>(
      {{4, text}, {1, number}, {1, fraction}, {1, flag}, {1, rc::gen::just(Value())}});
  if (depth == 0) {
    return scalar;
  }
  const auto list =
      rc::gen::map(rc::gen::resize(4, rc::gen::container<std::vector<Value>>(any_value(depth - 1))),
                   [](const std::vector<Value>& items) { return Value(Array(items.begin(), items.end())); });
  using Members = std::vector<std::pair<std::string, Value>>;
  const auto members =
      rc::gen::resize(4, rc::gen::container<Members>(rc::gen::pair(any_text(), any_value(depth - 1))));
  const auto object = rc::gen::map(members, [](const Members& list_of_members) {
    Object made;
    for (const auto& [key, value] : list_of_members) {
      made.insert_or_assign(key, value);
    }
    return Value(std::move(made));
  });
  return rc::gen::weightedOneOf<Value>({{2, scalar}, {1, list}, {2, object}});
}

TEST(YamlWriterProperty, ReadingBackGivesTheSameValue) {
  const bool holds = rc::check("write_yaml then parse_yaml is the identity", [] {
    const Value value(Object{{"root", *any_value(3)}});
    const std::string text = write_yaml(value);
    const auto documents = parse_yaml(text, "written");
    RC_TAG(documents.has_value());
    if (!documents) {
      RC_FAIL(text + "\n" + documents.error().text());
    }
    RC_ASSERT(documents->size() == 1U);
    if (documents->at(0).value != value) {
      RC_FAIL(write(value) + "\n" + text + "\n" + write(documents->at(0).value));
    }
  });
  EXPECT_TRUE(holds);
}

TEST(YamlWriterProperty, JsonWriterRoundTripsToo) {
  EXPECT_TRUE(rc::check("write then parse is the identity", [] {
    const Value value = *any_value(3);
    RC_ASSERT(*parse(write(value)) == value);
    RC_ASSERT(*parse(write_pretty(value)) == value);
  }));
}

}  // namespace
}  // namespace llmd::json
