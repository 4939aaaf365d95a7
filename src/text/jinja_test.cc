#include "text/jinja.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace llmd::text {
namespace {

using ::testing::HasSubstr;

class FixedClock final : public Clock {
 public:
  TimePoint now() const override { return {}; }
  WallTime wall_now() const override { return WallTime(std::chrono::seconds(1'700'000'000)); }
};

Result<std::string> render(std::string_view source, std::string_view context = "{}",
                           JinjaOptions options = {}) {
  LLMD_TRY(const auto compiled, JinjaTemplate::parse(source, options));
  return compiled.render(
      boost::json::parse(boost::json::string_view(context.data(), context.size())).as_object());
}

struct Case {
  std::string_view source;
  std::string_view expected;
};

class JinjaText : public testing::TestWithParam<Case> {};

TEST_P(JinjaText, IsRenderedAsPythonDoes) {
  const auto text = render(GetParam().source, R"({
    "s": "héllo wörld", "n": 7, "x": null, "list": [3, 1, 2], "d": {"b": 1, "a": [1, 2.5, true, null, "q'\""]},
    "people": [{"name": "Bob", "age": 3}, {"name": "alice", "age": 5}]})");
  ASSERT_TRUE(text) << text.error().text();
  EXPECT_EQ(*text, GetParam().expected) << GetParam().source;
}

INSTANTIATE_TEST_SUITE_P(
    Expressions, JinjaText,
    testing::Values(
        Case{"{{ 1 + 2 * 3 - 4 / 2 }}", "5.0"},
        Case{"{{ -7 // 2 }} {{ -7 % 3 }} {{ 2 ** 10 }} {{ 2 ** -1 }}", "-4 2 1024 0.5"},
        Case{"{{ 1e16 }} {{ 0.1 + 0.2 }} {{ 1e-5 }} {{ 100.0 }}", "1e+16 0.30000000000000004 1e-05 100.0"},
        Case{"{{ 'a' 'b' ~ 1 ~ none ~ true }}", "ab1NoneTrue"},
        Case{"{{ 'ab' * 2 }}{{ [1] * 2 }}", "abab[1, 1]"},
        Case{"{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' in 'cat' }} {{ 4 not in [1, 2] }}",
             "True False True True"},
        Case{"{{ 'y' if n > 5 else 'n' }}{{ 'never' if false }}", "y"},
        Case{"{{ not n == 7 or 'fallback' }}", "fallback"},
        Case{"{{ (1, 'a') }} {{ (1,) }} {{ [] }} {{ {'k': 'v'} }}", "(1, 'a') (1,) [] {'k': 'v'}"},
        Case{"{{ s[1] }}{{ s[-1] }}{{ s[1:4] }}{{ s[::-1] }}", "édélldlröw olléh"},
        Case{"{{ list[1:] }}{{ list[-2:] }}{{ list[::2] }}{{ list[:-1] }}", "[1, 2][1, 2][3, 2][3, 1]"},
        Case{"{{ d.a[1] }} {{ d['b'] }} {{ d.missing }}| {{ people[0].name }}", "2.5 1 | Bob"},
        Case{"{{ '\\n\\x41\\u00e9\\q' }}", "\nAé\\q"},
        Case{"{{ 1_000 }} {{ 'a{}b' }} {{ {'a': {}} }}", "1000 a{}b {'a': {}}"},
        Case{"{{ [1, 2] == [1, 2] }} {{ 1 == 1.0 }} {{ true == 1 }} {{ '1' == 1 }}",
             "True True True False"}));

INSTANTIATE_TEST_SUITE_P(
    Statements, JinjaText,
    testing::Values(
        Case{"{% for i in list %}{{ loop.index }}/{{ loop.length }}:{{ i }}{{ ',' if not loop.last }}{% "
             "endfor %}",
             "1/3:3,2/3:1,3/3:2"},
        Case{"{% for i in [] %}x{% else %}empty{% endfor %}", "empty"},
        Case{"{% for k, v in d.items() if k == 'b' %}{{ k }}={{ v }}{{ loop.length }}{% endfor %}", "b=11"},
        Case{"{% for i in range(10) %}{% if i == 2 %}{% continue %}{% elif i == 4 %}{% break %}{% endif %}{{ "
             "i }}{% endfor %}",
             "013"},
        Case{"{% for i in list %}{{ loop.previtem }}<{{ loop.nextitem }} {% endfor %}", "<1 3<2 1< "},
        Case{"{% for i in [[1, [2]], [3]] recursive %}{% if i is iterable %}({{ loop(i) }}){% else %}{{ i "
             "}}{% endif %}{% endfor %}",
             "(1(2))(3)"},
        Case{"{% set a = 1 %}{% for i in list %}{% set a = 2 %}{% endfor %}{{ a }}", "1"},
        Case{"{% set ns = namespace(found=false) %}{% for i in list %}{% set ns.found = i %}{% endfor %}{{ "
             "ns.found }}",
             "2"},
        Case{"{% set a, b = 1, 2 %}{{ b }}{{ a }}", "21"},
        Case{"{% set t %}x{{ n }}{% endset %}{{ t }}{{ t }}", "x7x7"},
        Case{"{% set t | upper %}x{% endset %}{{ t }}", "X"},
        Case{"{% macro f(a, b='B') %}[{{ a }}{{ b }}{{ varargs }}]{% endmacro %}{{ f(1) }}{{ f(1, 2, 3) }}{{ "
             "f(b=0, a=9) }}",
             "[1B()][12(3,)][90()]"},
        Case{"{% macro box() %}<{{ caller('x') }}>{% endmacro %}{% call(v) box() %}{{ v }}{{ n }}{% endcall "
             "%}",
             "<x7>"},
        Case{"{% filter upper | trim %} a{{ n }}b {% endfilter %}", "A7B"},
        Case{"{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a }}", "3"},
        Case{"{% generation %}{% set q = 1 %}{{ q }}{% endgeneration %}{{ q }}", "1"},
        Case{"{% raw %}{{ n }}{% endraw %}{# note #}", "{{ n }}"}));

INSTANTIATE_TEST_SUITE_P(Whitespace, JinjaText,
                         testing::Values(Case{"a\n  {% if true %}\nb\n  {% endif %}\nc\n", "a\nb\nc"},
                                         Case{"a \n {%- if true -%} \n b {%- endif %} c", "ab c"},
                                         Case{"  {%+ if true %}x{% endif +%}\ny", "  x\ny"},
                                         Case{"{{ 1 }}\n{{- 2 -}}\n 3", "123"},
                                         Case{"a {# note #}\nb\n  {#- n -#}  c",
                                              "a b"
                                              "c"},
                                         Case{"a\r\nb\rc", "a\nb\nc"},
                                         Case{"x  {% if true %}y{% endif %}", "x  y"}));

INSTANTIATE_TEST_SUITE_P(
    Filters, JinjaText,
    testing::Values(
        Case{"{{ '  a ' | trim }}|{{ 'xax' | trim('x') }}|{{ s | length }}|{{ s | upper }}|{{ s | title "
             "}}|{{ 'aB' | capitalize }}",
             "a|a|11|HÉLLO WÖRLD|Héllo Wörld|Ab"},
        Case{"{{ d | tojson }}", "{\"b\": 1, \"a\": [1, 2.5, true, null, \"q'\\\"\"]}"},
        Case{"{{ {'a': [1, {}], 'b': []} | tojson(indent=2) }}",
             "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}"},
        Case{"{{ s | tojson(ensure_ascii=true) }}{{ '<&>' | tojson }}", "\"h\\u00e9llo w\\u00f6rld\"\"<&>\""},
        Case{"{{ list | sort }}{{ list | sort(reverse=true) }}{{ people | sort(attribute='name') | "
             "map(attribute='name') | join('+') }}",
             "[1, 2, 3][3, 2, 1]alice+Bob"},
        Case{"{{ people | selectattr('age', 'gt', 4) | map(attribute='name') | first }}{{ people | "
             "rejectattr('age', 'equalto', 3) | list | length }}",
             "alice1"},
        Case{"{{ list | select('odd') | list }}{{ ['a', 'b'] | map('upper') | join }}", "[3, 1]AB"},
        Case{"{{ missing | default('d') }}{{ '' | default('e', true) }}{{ x | default('f') }}", "deNone"},
        Case{"{{ d | items | list }}{{ d | dictsort | map('first') | list }}",
             "[('b', 1), ('a', [1, 2.5, True, None, 'q\\'\"'])]['a', 'b']"},
        Case{"{{ '3.7' | int }}{{ 'z' | int(9) }}{{ '1.5' | float }}{{ 2.567 | round(1) }}{{ -3 | abs }}",
             "391.52.63"},
        Case{"{{ [1, 1, 2] | unique | list }}{{ [1, 2] | sum }}{{ list | min }}{{ list | max }}{{ list | "
             "last }}",
             "[1, 2]3132"},
        Case{"{{ 'a\\nb\\n\\nc' | indent(2) }}", "a\n  b\n\n  c"},
        Case{"{{ '<a>' | e }}{{ '<a>' | safe }}", "&lt;a&gt;<a>"},
        Case{"{{ 'aXbX' | replace('X', '-') }}{{ '%s=%03d' | format('a', 5) }}{{ [1, 2, 3] | batch(2) | list "
             "}}",
             "a-b-a=005[[1, 2], [3]]"},
        Case{"{% for g, items in people | groupby('age') %}{{ g }}{{ items[0].name }} {% endfor %}",
             "3Bob 5alice "},
        Case{"{{ 'abc' | reverse }}{{ 'a b' | wordcount }}{{ 5 | string ~ '!' }}", "cba25!"}));

INSTANTIATE_TEST_SUITE_P(
    Methods, JinjaText,
    testing::Values(
        Case{"{{ ' a '.strip() }}{{ 'xxay'.lstrip('x') }}{{ 'a--'.rstrip('-') }}", "aaya"},
        Case{"{{ 'a,b,c'.split(',') }}{{ ' a  b '.split() }}{{ 'a,b,c'.split(',', 1)[-1] }}{{ 'a b "
             "c'.rsplit(None, 1) }}",
             "['a', 'b', 'c']['a', 'b']b,c['a b', 'c']"},
        Case{"{{ 'abc'.startswith('a') }}{{ 'abc'.endswith(('x', 'c')) }}{{ 'aaa'.replace('a', 'b', 2) }}",
             "TrueTruebba"},
        Case{"{{ '-'.join(['a', 'b']) }}{{ 'abcb'.find('b') }}{{ 'abcb'.count('b') }}{{ 'a\\nb'.splitlines() "
             "}}",
             "a-b12['a', 'b']"},
        Case{"{{ '{} {1} {k:>4}|{0!r}'.format('a', k=1) if false else '{} {k:>4}'.format('a', k=1) }}",
             "a    1"},
        Case{"{{ d.get('b') }}{{ d.get('z') }}{{ d.get('z', 0) }}{{ d.keys() | list }}{{ d.values() | first "
             "}}",
             "1None0['b', 'a']1"},
        Case{"{{ 'ß'.upper() }}{{ 'it\\'s'.title() }}{{ '12'.isdigit() }}", "SSIt'STrue"}));

INSTANTIATE_TEST_SUITE_P(
    Tests, JinjaText,
    testing::Values(Case{"{{ missing is defined }}{{ n is defined }}{{ x is none }}{{ x is not none }}",
                         "FalseTrueTrueFalse"},
                    Case{"{{ s is string }}{{ d is mapping }}{{ list is sequence }}{{ list is iterable }}{{ "
                         "d is iterable }}{{ n is number }}",
                         "TrueTrueTrueTrueTrueTrue"},
                    Case{"{{ true is boolean }}{{ 1 is boolean }}{{ 1 is true }}{{ false is false }}{{ n is "
                         "divisibleby 7 }}{{ n is in [7] }}",
                         "TrueFalseFalseTrueTrueTrue"},
                    Case{"{{ 3 is eq 3 }}{{ 3 is ge(4) }}{{ range is callable }}{{ 'A' is upper }}",
                         "TrueFalseTrueTrue"}));

INSTANTIATE_TEST_SUITE_P(
    Functions, JinjaText,
    testing::Values(Case{"{{ range(3) | list }}{{ range(5, 1, -2) | list }}", "[0, 1, 2][5, 3]"},
                    Case{"{{ dict(a=1, b=2) }}{% set j = joiner('|') %}{{ j() }}{{ j() }}",
                         "{'a': 1, 'b': 2}|"},
                    Case{"{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}", "aba"}));

class JinjaFailure : public testing::TestWithParam<Case> {};

TEST_P(JinjaFailure, SaysWhereAndWhy) {
  const auto text = render(GetParam().source);
  ASSERT_FALSE(text) << *text;
  EXPECT_THAT(text.error().message, HasSubstr(GetParam().expected));
}

INSTANTIATE_TEST_SUITE_P(
    Mistakes, JinjaFailure,
    testing::Values(Case{"\n\n{{ a.b }}", "line 3: 'a' is undefined"},
                    Case{"x\n{% if %}", "line 2: expected an expression, got '%}'"},
                    Case{"{% for a in b %}", "'endfor' is missing"},
                    Case{"{{ 'a' + 1 }}", "unsupported operand type(s) for +: 'str' and 'int'"},
                    Case{"{{ raise_exception('no tools') }}", "line 1: no tools"},
                    Case{"{% include 'x' %}", "unknown tag 'include'"},
                    Case{"{{ 1 | nope }}", "no filter named 'nope'"}, Case{"{{ 1 / 0 }}", "division by zero"},
                    Case{"{% set a = [] %}{{ a.append(1) }}", "templates may not change their data"},
                    Case{"{% for x in 5 %}{% endfor %}", "'int' object is not iterable"},
                    Case{"{{ 'abc", "a string is not closed"}, Case{"{{ [1, 2 }}", "unexpected '}'"},
                    Case{"{{ 9223372036854775807 + 1 }}", "integer overflow"},
                    Case{"{% break %}", "outside of a loop"},
                    Case{"{{ {} | tojson | length + x }}", "'x' is undefined"},
                    Case{"{{ (range(3) | map('string')) | length }}", "has no len()"}));

INSTANTIATE_TEST_SUITE_P(
    Hostile, JinjaFailure,
    testing::Values(
        Case{"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recurses too deeply"},
        Case{"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
             "needs more than 10000000 steps"},
        Case{"{{ 'a' * 999999999999 }}", "longer than"}, Case{"{{ range(999999999) }}", "range too big"},
        Case{"{% set ns = namespace(x=[]) %}{% for i in range(999) %}{% set ns.x = [ns.x] %}{% endfor %}",
             "nested deeper"},
        Case{"{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor "
             "%}",
             "longer than"}));

TEST(JinjaTemplate, DeepSyntaxIsAnErrorAndNoCrash) {
  for (const auto* open : {"(", "[", "{1:", "-", "not ", "a[", "f(", "a."}) {
    std::string source = "{{ ";
    for (int i = 0; i < 20'000; ++i)
      source += open;
    EXPECT_FALSE(JinjaTemplate::parse(source + "1 }}")) << open;
  }
  std::string blocks;
  for (int i = 0; i < 20'000; ++i)
    blocks += "{% if 1 %}";
  EXPECT_FALSE(JinjaTemplate::parse(blocks));
}

TEST(JinjaTemplate, StrftimeNowReadsTheClockItWasGiven) {
  const FixedClock clock;
  EXPECT_EQ(render("{{ strftime_now('%Y %b') }}", "{}", {.clock = &clock}).value(), "2023 Nov");
}

TEST(JinjaTemplate, KnowsWhetherItWantsContentAsParts) {
  EXPECT_TRUE(JinjaTemplate::parse("{% for p in message['content'] %}{% endfor %}")->iterates_content());
  EXPECT_FALSE(
      JinjaTemplate::parse("{% for m in messages %}{{ m.content }}{% endfor %}")->iterates_content());
}

TEST(JinjaTemplate, ANamespaceMayHoldItselfWithoutLeaking) {
  EXPECT_EQ(render("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns.me.me.missing is defined }}").value(),
            "False");
}

}  // namespace
}  // namespace llmd::text
