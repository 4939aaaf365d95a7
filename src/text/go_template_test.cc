#include "text/go_template.h"

#include <gtest/gtest.h>

namespace llmd::text {
namespace {

const char* const kData = R"({
  "name": "smart-llm", "namespace": "production", "n": 3, "empty": "", "on": true, "off": false,
  "spec": {"model": {"uri": "hf://a/b", "name": "b"}, "parallelism": {"tensor": 4}},
  "metadata": {"labels": {"team": "x"}}, "list": ["a", "b", "c"], "map": {"k2": 2, "k1": 1}, "none": null
})";

Result<std::string> render(std::string_view text) {
  LLMD_TRY(const auto data, json::parse(kData));
  LLMD_TRY(const auto parsed, GoTemplate::parse(text));
  GoEnvironment environment;
  environment.functions["ChildName"] = [](std::span<const json::Value> arguments) -> Result<json::Value> {
    json::String joined(arguments[0].get_string());
    joined += arguments[1].get_string();
    return json::Value(std::move(joined));
  };
  environment.is_known_field = [](std::string_view path, std::string_view name) {
    return path == ".Spec" && name == "Prefill";
  };
  environment.alias = [](std::string_view path, std::string_view name) -> std::string_view {
    return path.empty() && name == "ObjectMeta" ? "metadata" : "";
  };
  return parsed.execute(data, environment);
}

struct Case {
  std::string_view text;
  std::string_view result;
};

class GoTemplateResult : public testing::TestWithParam<Case> {};

TEST_P(GoTemplateResult, IsWhatGoWouldPrint) {
  const auto result = render(GetParam().text);
  ASSERT_TRUE(result) << GetParam().text << ": " << result.error().text();
  EXPECT_EQ(*result, GetParam().result) << GetParam().text;
}

INSTANTIATE_TEST_SUITE_P(
    Table, GoTemplateResult,
    testing::Values(
        Case{"", ""}, Case{"plain } text", "plain } text"}, Case{"{{.Name}}", "smart-llm"},
        Case{"{{.Namespace}}/{{.Name}}", "production/smart-llm"}, Case{"{{ .Spec.Model.URI }}", "hf://a/b"},
        Case{"{{.ObjectMeta.Labels.team}}", "x"}, Case{"{{ $.name }}", "smart-llm"},
        Case{"{{/* note */}}x", "x"}, Case{"a  {{- .n -}}  b", "a3b"}, Case{"a {{.n}} b", "a 3 b"},
        Case{"{{if .on}}yes{{else}}no{{end}}", "yes"},
        Case{"{{if .off}}1{{else if .empty}}2{{else}}3{{end}}", "3"},
        Case{"{{with .Spec.Model}}{{.Name}}{{end}}", "b"}, Case{"{{with .empty}}x{{else}}y{{end}}", "y"},
        Case{"{{range .list}}[{{.}}]{{end}}", "[a][b][c]"},
        Case{"{{range $i, $v := .list}}{{$i}}={{$v}};{{end}}", "0=a;1=b;2=c;"},
        Case{"{{range $k, $v := .map}}{{$k}}{{$v}}{{end}}", "k11k22"},
        Case{"{{range .none}}x{{else}}none{{end}}", "none"},
        Case{"{{range .list}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}", "a"},
        Case{"{{range .list}}{{if eq . \"b\"}}{{continue}}{{end}}{{.}}{{end}}", "ac"},
        Case{"{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2"}, Case{"{{or .Spec.Prefill 1}}", "1"},
        Case{"{{or .Spec.Parallelism.Tensor 1}}", "4"}, Case{"{{and .on .n}}", "3"},
        Case{"{{not .off}}", "true"}, Case{"{{if and .on (eq .n 3)}}both{{end}}", "both"},
        Case{"{{eq .n 1 2 3}} {{ne .n 3}} {{lt 1 2}} {{ge 2.5 2}}", "true false true true"},
        Case{"{{index .list 1}}{{index .map \"k1\"}}", "b1"}, Case{"{{len .list}}", "3"},
        Case{"{{printf \"%s-%d-%q-%%-%03d\" .name .n .name 7}}", "smart-llm-3-\"smart-llm\"-%-007"},
        Case{"{{.name | printf \"%s!\"}}", "smart-llm!"}, Case{"{{print 1 2 `x`}}", "1 2x"},
        Case{"{{ChildName .Name `-kserve`}}", "smart-llm-kserve"}, Case{"{{(index .list 0)}}", "a"},
        Case{"{{\"a\\n\\u00e9\"}}", "a\n\xc3\xa9"}));

struct Mistake {
  std::string_view text;
  std::string_view message;
};

class GoTemplateMistake : public testing::TestWithParam<Mistake> {};

TEST_P(GoTemplateMistake, IsRefusedWithItsPosition) {
  const auto result = render(GetParam().text);
  ASSERT_FALSE(result) << GetParam().text << " gave " << *result;
  EXPECT_EQ(result.error().text(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Table, GoTemplateMistake,
    testing::Values(
        Mistake{"{{.Nam}}", "1:3: unknown variable .Nam (did you mean 'name'?)"},
        Mistake{"x\n {{.Spec.Modle.Name}}", "2:4: unknown variable .Spec.Modle (did you mean 'model'?)"},
        Mistake{"{{.Spec.Prefill.X}}", "1:3: .Spec.Prefill.X needs .Spec.Prefill, which is not set"},
        Mistake{
            "{{.Spec.Prefill}}",
            "1:1: .Spec.Prefill is not set (give it a value, or a default: {{ or .Spec.Prefill \"...\" }})"},
        Mistake{"{{.name", "1:1: '{{' has no matching '}}'"},
        Mistake{"{{if .on}}x", "1:12: a block has no {{end}}"},
        Mistake{"{{end}}", "1:1: {{end}} without a block"}, Mistake{"{{}}", "1:3: an action needs a value"},
        Mistake{"{{ChildNam .Name `x`}}", "1:3: unknown function 'ChildNam' (did you mean 'ChildName'?)"},
        Mistake{"{{.Name `x`}}", "1:9: only functions take arguments; methods cannot be called"},
        Mistake{"{{index .list 9}}", "1:3: index: 9 is out of range, the list has 3 elements"},
        Mistake{"{{template `x`}}", "1:1: 'template' is not supported"},
        Mistake{"{{$y}}", "1:3: undefined variable $y"},
        Mistake{"{{break}}", "1:1: {{break}} outside of {{range}}"}));

TEST(GoTemplate, StopsATemplateThatRunsTooLong) {
  json::Array list;
  for (int i = 0; i < 200; ++i) {
    list.emplace_back(i);
  }
  const json::Value data(json::Object{{"l", std::move(list)}});
  const auto parsed = GoTemplate::parse("{{range .l}}{{range $.l}}{{range $.l}}x{{end}}{{end}}{{end}}");
  ASSERT_TRUE(parsed);
  const auto result = parsed->execute(data);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::ResourceExhausted);
}

TEST(GoTemplate, RefusesHostileNesting) {
  std::string text;
  for (int i = 0; i < 5000; ++i) {
    text += "{{if (";
  }
  EXPECT_FALSE(GoTemplate::parse(text));
  EXPECT_FALSE(GoTemplate::parse("{{" + std::string(100000, '(') + "}}"));
}

}  // namespace
}  // namespace llmd::text
