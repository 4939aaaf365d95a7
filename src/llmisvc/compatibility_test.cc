// What KServe's controllers made of the same manifests on a real API server must be in what we render. Each
// difference is a row of testdata/differences.json, which docs/compatibility.md shows; a difference without a
// row fails, and so does a row that nothing shows any longer. tools/record_kserve makes the recordings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "base/file.h"
#include "base/strings.h"
#include "json/path.h"
#include "llmisvc/compile.h"

namespace llmd::llmisvc {
namespace {

const std::string kSource = LLMD_SOURCE_DIR;
const std::string kData = kSource + "/src/llmisvc/testdata/";

std::string text_at(const json::Value& value, std::string_view path) {
  return std::string(json::string_at(value, path).value_or(""));
}

// `*` stands for any text.
bool matches(std::string_view pattern, std::string_view text) {
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) {
    return pattern == text;
  }
  if (!text.starts_with(pattern.substr(0, star))) {
    return false;
  }
  const std::string_view rest = pattern.substr(star + 1);
  for (std::size_t begin = star; begin <= text.size(); ++begin) {
    if (matches(rest, text.substr(begin))) {
      return true;
    }
  }
  return false;
}

// ---- A command line as program and flags, so that order and launch scripts do not matter.

struct Launch {
  std::vector<std::string> program;
  std::map<std::string, std::string> flags;
};

void add_word(Launch& launch, std::string& last, const std::string& word) {
  if (word.starts_with("-")) {
    const std::size_t equals = word.find('=');
    last = word.substr(0, equals);
    launch.flags[last] = equals == std::string::npos ? "" : word.substr(equals + 1);
  } else if (last.empty()) {
    launch.program.push_back(word);
  } else {
    std::string& value = launch.flags[last];
    // What is only known when the pod starts.
    value += (value.empty() ? "" : " ") + (word.find("$(") != std::string::npos ? std::string("*") : word);
  }
}

Launch launch_of(const json::Value& container) {
  std::vector<std::string> words;
  for (const char* key : {"command", "args"}) {
    const auto* list = json::array_at(container, key);
    for (const json::Value& word : list != nullptr ? *list : json::Array()) {
      words.emplace_back(word.get_string().c_str());
    }
  }
  Launch launch;
  std::string last;
  if (words.size() > 4 && words[0] == "sh" && words[3] == "--") {
    // The one fixed form: computes the first rank, then becomes the rest.
    EXPECT_THAT(words[2],
                testing::StartsWith(R"(exec "$@" --data-parallel-start-rank $((LWS_WORKER_INDEX*)"));
    words.erase(words.begin(), words.begin() + 4);
    launch.flags["--data-parallel-start-rank"] = "*";
  }
  for (const std::string& word : words) {
    add_word(launch, last, word);
  }
  return launch;
}

Launch recorded_launch(const json::Value& launch) {
  Launch result;
  for (const json::Value& word : *json::array_at(launch, "program")) {
    result.program.emplace_back(word.get_string().c_str());
  }
  for (const json::Value& flag : *json::array_at(launch, "flags")) {
    const std::string text = flag.get_string().c_str();
    const std::size_t space = text.find(' ');
    result.flags[text.substr(0, space)] = space == std::string::npos ? "" : text.substr(space + 1);
  }
  return result;
}

// ---- Differences.

struct Difference {
  std::string object;  // kind/name
  std::string path;
  std::string theirs;
  std::string ours;
};

std::string describe(const Difference& difference) {
  return fmt::format("{} {}\n    KServe {}\n    llmd   {}", difference.object, difference.path,
                     difference.theirs, difference.ours);
}

class Comparison {
 public:
  explicit Comparison(std::string object) : object_(std::move(object)) {}

  // Everything in `theirs` must be in `ours`, which may hold more.
  void compare(const json::Value& theirs, const json::Value* ours, const std::string& path) {
    if (ours == nullptr) {
      add(path, json::write(theirs), "absent");
    } else if (theirs.is_object() && ours->is_object()) {
      objects(theirs.get_object(), *ours, path);
    } else if (theirs.is_array() && ours->is_array()) {
      lists(theirs.get_array(), ours->get_array(), path);
    } else if (theirs != *ours) {
      add(path, json::write(theirs), json::write(*ours));
    }
  }

  std::vector<Difference> take() { return std::move(found_); }

 private:
  void add(const std::string& path, std::string theirs, std::string ours) {
    found_.push_back({.object = object_, .path = path, .theirs = std::move(theirs), .ours = std::move(ours)});
  }

  void objects(const json::Object& theirs, const json::Value& ours, const std::string& path) {
    for (const auto& member : theirs) {
      const std::string_view key(member.key().data(), member.key().size());
      if (key == "launch") {
        launches(member.value(), ours, path + ".launch");
        continue;
      }
      const auto* found = ours.get_object().if_contains(member.key());
      compare(member.value(), found, path.empty() ? std::string(key) : path + "." + std::string(key));
    }
  }

  // By what identifies an element, else by position.
  void lists(const json::Array& theirs, const json::Array& ours, const std::string& path) {
    if (path.ends_with(".matches")) {  // one of them is enough, so their order says nothing
      for (const json::Value& match : theirs) {
        if (std::ranges::find(ours, match) == ours.end()) {
          add(path, json::write(match), "absent");
        }
      }
      return;
    }
    for (std::size_t i = 0; i < theirs.size(); ++i) {
      const std::string id = identity(theirs[i]);
      const json::Value* found = nullptr;
      if (id.empty()) {
        found = i < ours.size() ? &ours[i] : nullptr;
      } else {
        const auto same = std::ranges::find(ours, id, &Comparison::identity);
        found = same == ours.end() ? nullptr : &*same;
      }
      compare(theirs[i], found, fmt::format("{}[{}]", path, id.empty() ? fmt::format("{}", i) : id));
    }
  }

  static std::string identity(const json::Value& element) {
    for (const char* key : {"mountPath", "name"}) {
      if (const auto name = element.is_object() ? json::string_at(element, key) : std::nullopt) {
        return std::string(*name);
      }
    }
    return {};
  }

  void launches(const json::Value& theirs, const json::Value& container, const std::string& path) {
    const Launch wanted = recorded_launch(theirs);
    const Launch got = launch_of(container);
    if (wanted.program != got.program) {
      add(path + ".program", join(wanted.program, " "), join(got.program, " "));
    }
    for (const auto& [flag, value] : wanted.flags) {
      const auto found = got.flags.find(flag);
      if (found == got.flags.end()) {
        add(path + "." + flag, value, "absent");
      } else if (found->second != value) {
        add(path + "." + flag, value, found->second);
      }
    }
    if (const json::Value* config = json::find(theirs, "config")) {
      const auto text = got.flags.find("--config-text");
      ASSERT_NE(text, got.flags.end()) << path;
      const auto parsed = json::parse_yaml(text->second, "--config-text");
      ASSERT_TRUE(parsed) << parsed.error().text();
      compare(*config, &parsed->front().value, path + ".config");
    }
  }

  std::string object_;
  std::vector<Difference> found_;
};

// ---- The table of differences.

const json::Array& table() {
  static const json::Value value = [] {
    auto parsed = json::parse(*read_file(kData + "differences.json"));
    EXPECT_TRUE(parsed) << parsed.error().text();
    return *parsed;
  }();
  return value.get_array();
}

bool covers(const json::Value& row, std::string_view version, const Difference& difference) {
  const auto field = [&](const char* name, std::string_view text) {
    const auto pattern = json::string_at(row, name);
    return !pattern || matches(*pattern, text);
  };
  return text_at(row, "version") == version && field("object", difference.object) &&
         field("path", difference.path) && field("theirs", difference.theirs) &&
         field("ours", difference.ours);
}

// ---- The recordings.

const json::Object& recorded(std::string_view version) {
  static std::map<std::string, json::Object, std::less<>> files;
  if (!files.contains(version)) {
    const std::string file = version == "0.20" ? "kserve_v0_20.json" : "kserve_v0_16.json";
    files.emplace(version, *json::parse_object(*read_file(kData + file)));
  }
  return files.find(version)->second;
}

// What each version's cluster serves.
Facts facts_of(std::string_view version) {
  Facts facts;
  if (version == "0.16") {
    facts.has_inference_pool_v1 = false;
    facts.has_inference_model = true;
  }
  return facts;
}

// Everything the input's services render to, in the namespace the recordings were blanked to.
Result<std::vector<json::Object>> render_input(const std::string& name, std::string_view version) {
  const std::string file = name.substr(0, name.find(' '));
  auto manifest = parse_manifest(*read_file(kData + "inputs/" + file + ".yaml"), file + ".yaml");
  EXPECT_TRUE(manifest) << manifest.error().text();
  for (auto* list : {&manifest->configs, &manifest->services, &manifest->others}) {
    for (json::YamlDocument& document : *list) {
      auto& metadata = document.value.at("metadata").as_object();
      metadata["namespace"] = "NAMESPACE";
      metadata["uid"] = "UID";
    }
  }
  const Facts facts = with_configs(facts_of(version), *manifest);
  std::vector<json::Object> objects;
  for (const json::YamlDocument& document : manifest->services) {
    Compiled compiled = compile(document.value.get_object(), facts);
    if (has_errors(compiled.findings)) {
      return error_of(compiled.findings);
    }
    std::ranges::move(compiled.objects, std::back_inserter(objects));
  }
  return objects;
}

std::vector<Difference> differences_of(const std::string& input, std::string_view version) {
  const auto rendered = render_input(input, version);
  if (!rendered) {
    return {{.object = "input/" + input, .path = "", .theirs = "rendered", .ours = rendered.error().text()}};
  }
  const std::vector<json::Object>& ours = *rendered;
  std::vector<Difference> all;
  for (const json::Value& theirs : recorded(version).at(input).as_array()) {
    const std::string name = text_at(theirs, "kind") + "/" + text_at(theirs, "metadata.name");
    const auto same = std::ranges::find_if(ours, [&](const json::Object& object) {
      const json::Value value(object);
      return std::ranges::all_of(std::array{"apiVersion", "kind", "metadata.name"}, [&](const char* path) {
        return json::string_at(value, path) == json::string_at(theirs, path);
      });
    });
    if (same == ours.end()) {
      all.push_back({.object = name, .path = "", .theirs = "rendered", .ours = "absent"});
      continue;
    }
    const json::Value object(*same);
    Comparison comparison(name);
    comparison.compare(theirs, &object, "");
    std::ranges::move(comparison.take(), std::back_inserter(all));
  }
  return all;
}

class Compatibility : public testing::TestWithParam<std::string> {};

TEST_P(Compatibility, RendersWhatKServeMadeExceptForTheListedDifferences) {
  const std::string version = GetParam();
  std::set<std::string> seen;
  for (const auto& member : recorded(version)) {
    SCOPED_TRACE("input " + std::string(member.key()));
    for (const Difference& difference : differences_of(std::string(member.key()), version)) {
      const auto row = std::ranges::find_if(
          table(), [&](const json::Value& one) { return covers(one, version, difference); });
      if (row == table().end()) {
        ADD_FAILURE() << "not in differences.json: " << describe(difference);
      } else {
        seen.insert(text_at(*row, "id"));
      }
    }
  }
  for (const json::Value& row : table()) {
    if (text_at(row, "version") == version) {
      EXPECT_TRUE(seen.contains(text_at(row, "id")))
          << "nothing shows difference " << text_at(row, "id") << " any longer: remove its row";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Recorded, Compatibility, testing::Values("0.20", "0.16"), [](const auto& param) {
  std::string name = "KServe_" + param.param;
  std::ranges::replace(name, '.', '_');
  return name;
});

// ---- The document.

constexpr std::string_view kBegin = "<!-- differences: generated from differences.json -->\n";
constexpr std::string_view kEnd = "<!-- end of differences -->";

std::string rows_of_table() {
  std::string rows = "| Difference | Object | KServe | llmd | Why |\n|---|---|---|---|---|\n";
  for (const json::Value& row : table()) {
    rows +=
        fmt::format("| `{}` ({}) | {} | {} | {} | {} |\n", text_at(row, "id"), text_at(row, "version"),
                    text_at(row, "where"), text_at(row, "kserve"), text_at(row, "llmd"), text_at(row, "why"));
  }
  return rows;
}

TEST(CompatibilityDocument, ShowsTheTableOfDifferences) {
  const std::string path = kSource + "/docs/compatibility.md";
  std::string document = *read_file(path);
  const std::size_t begin = document.find(kBegin);
  const std::size_t end = document.find(kEnd);
  ASSERT_TRUE(begin != std::string::npos && end != std::string::npos) << "the markers are gone";
  const std::size_t first = begin + kBegin.size();
  if (std::getenv("LLMD_UPDATE_GOLDEN") != nullptr) {
    document.replace(first, end - first, rows_of_table());
    ASSERT_TRUE(write_file_atomically(path, document));
    return;
  }
  EXPECT_EQ(document.substr(first, end - first), rows_of_table()) << "LLMD_UPDATE_GOLDEN=1 rewrites " << path;
}

}  // namespace
}  // namespace llmd::llmisvc
