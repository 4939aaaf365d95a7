// Which texts a constraint lets through, byte by byte.

#include <gtest/gtest.h>

#include "engine/grammar/automaton.h"
#include "engine/grammar/regex_grammar.h"
#include "engine/grammar/schema_grammar.h"

namespace llmd::engine {
namespace {

enum class Verdict { Whole, Unfinished, Impossible };

Verdict judge(Automaton& automaton, std::string_view text) {
  Automaton::State state = automaton.start();
  for (const char c : text) {
    state = automaton.next(state, static_cast<unsigned char>(c));
  }
  return state == Automaton::kDead  ? Verdict::Impossible
         : automaton.accepts(state) ? Verdict::Whole
                                    : Verdict::Unfinished;
}

struct Case {
  const char* language;
  const char* text;
  Verdict verdict;
};

class Regex : public testing::TestWithParam<Case> {};
TEST_P(Regex, Judges) {
  GrammarBuilder builder;
  const auto piece = regex_piece(builder, GetParam().language);
  ASSERT_TRUE(piece) << piece.error().text();
  Automaton automaton(std::move(builder).finish(*piece).value());
  EXPECT_EQ(judge(automaton, GetParam().text), GetParam().verdict)
      << GetParam().language << " " << GetParam().text;
}
INSTANTIATE_TEST_SUITE_P(
    Grammar, Regex,
    testing::Values(Case{"a|bc", "a", Verdict::Whole}, Case{"a|bc", "b", Verdict::Unfinished},
                    Case{"a|bc", "ab", Verdict::Impossible},
                    Case{"^\\d{3}-\\d{2,4}$", "123-45", Verdict::Whole},
                    Case{"\\d{3}-\\d{2,4}", "123-456789", Verdict::Impossible},
                    Case{"(?:ab)*c?", "ababc", Verdict::Whole}, Case{"(?:ab)*c?", "", Verdict::Whole},
                    Case{"[^a-z]+", "ABÄ€😀", Verdict::Whole}, Case{"[^a-z]+", "Ab", Verdict::Impossible},
                    Case{"[äö]x", "äx", Verdict::Whole}, Case{".", "\xc3", Verdict::Unfinished},
                    Case{".", "\xff", Verdict::Impossible}, Case{"(a*)*", "aaa", Verdict::Whole},
                    Case{"\\w+@\\w+\\.com", "me@there.com", Verdict::Whole},
                    Case{"a{2}", "aa", Verdict::Whole}, Case{"[\\]-]+", "]-", Verdict::Whole}));

TEST(RegexGrammar, RefusesWhatItCannotSay) {
  for (const char* pattern : {"(?=a)", "a(", "[a", "*a", "\\b", "a{9,2}", "[ä-ö]", ")", "\\"}) {
    GrammarBuilder builder;
    EXPECT_FALSE(regex_piece(builder, pattern)) << pattern;
  }
}

class Schema : public testing::TestWithParam<Case> {};
TEST_P(Schema, Judges) {
  GrammarBuilder builder;
  const auto schema = json::parse(GetParam().language).value();
  const auto piece = schema_piece(builder, schema);
  ASSERT_TRUE(piece) << piece.error().text();
  Automaton automaton(std::move(builder).finish(*piece).value());
  EXPECT_EQ(judge(automaton, GetParam().text), GetParam().verdict) << GetParam().language << "\n"
                                                                   << GetParam().text;
}
constexpr const char* kPerson = R"({"type":"object","properties":{"name":{"type":"string"},
  "age":{"type":"integer"},"tags":{"type":"array","items":{"enum":["a","b"]},"maxItems":2}},"required":["name"]})";
constexpr const char* kTree = R"({"$ref":"#/$defs/tree","$defs":{"tree":{"type":"object","properties":{
  "kids":{"type":"array","items":{"$ref":"#/$defs/tree"}}},"additionalProperties":false}}})";
INSTANTIATE_TEST_SUITE_P(
    Grammar, Schema,
    testing::Values(Case{kPerson, R"({"name":"Zoë"})", Verdict::Whole},
                    Case{kPerson, R"({"name" : "x", "age":-12, "tags":["a","b"]})", Verdict::Whole},
                    Case{kPerson, R"({"name":"x","tags":[ ]})", Verdict::Whole},
                    Case{kPerson, R"({"age":3)", Verdict::Impossible},
                    Case{kPerson, "{}", Verdict::Impossible},
                    Case{kPerson, R"({"name":"x","age":1.5)", Verdict::Impossible},
                    Case{kPerson, R"({"name":"x","tags":["a","b","a")", Verdict::Impossible},
                    Case{kPerson, R"({"name":"x","other")", Verdict::Impossible},
                    Case{kTree, R"({"kids":[{"kids":[{},{}]},{}]})", Verdict::Whole},
                    Case{kTree, R"({"kids":[{"kids":[{)", Verdict::Unfinished},
                    Case{kTree, R"({"kids":[1)", Verdict::Impossible},
                    Case{R"({"type":["string","null"]})", "null", Verdict::Whole},
                    Case{R"({"type":"object"})", R"({"a":[1,{"b":null}]})", Verdict::Whole},
                    Case{R"({"type":"object"})", "[", Verdict::Impossible},
                    Case{R"({"type":"string","pattern":"^a\\d+$"})", R"("a12")", Verdict::Whole},
                    Case{R"({"type":"string","pattern":"b"})", R"("abc")", Verdict::Whole},
                    Case{R"({"type":"string","maxLength":2})", R"("äöü)", Verdict::Impossible},
                    Case{R"({"type":"string"})", R"("\ud800)", Verdict::Impossible},
                    Case{R"({"type":"number"})", "-1.5e+10", Verdict::Whole},
                    Case{R"({"const":{"a":1}})", R"({"a":1})", Verdict::Whole},
                    Case{R"({"anyOf":[{"type":"boolean"},{"const":3}]})", "3", Verdict::Whole},
                    Case{R"({"prefixItems":[{"const":1},{"const":2}],"type":"array"})", "[1, 2]",
                         Verdict::Whole},
                    Case{R"({"type":"object","additionalProperties":{"type":"integer"}})", R"({"x":1,"y":2})",
                         Verdict::Whole}));

TEST(SchemaGrammar, NamesTheKeywordItDoesNotUnderstand) {
  GrammarBuilder builder;
  const auto schema =
      json::parse(R"({"type":"object","properties":{"n":{"type":"integer","minimum":3}}})").value();
  const auto piece = schema_piece(builder, schema);
  ASSERT_FALSE(piece);
  EXPECT_NE(piece.error().text().find("schema.properties.n.minimum"), std::string::npos)
      << piece.error().text();
}

TEST(Automaton, KnowsWhenNothingCanFollow) {
  GrammarBuilder builder;
  const auto piece = regex_piece(builder, "ab?");
  Automaton automaton(std::move(builder).finish(*piece).value());
  const auto a = automaton.next(automaton.start(), 'a');
  EXPECT_FALSE(automaton.complete(a));
  EXPECT_TRUE(automaton.complete(automaton.next(a, 'b')));
}

}  // namespace
}  // namespace llmd::engine
