// What KServe 0.20's controller made of the same manifests on a real API server (names, labels, selectors,
// ports; see testdata/kserve_v0_20.json) must be in what we render.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/file.h"
#include "json/path.h"
#include "llmisvc/compile.h"

namespace llmd::llmisvc {
namespace {

const std::string kData = std::string(LLMD_SOURCE_DIR) + "/src/llmisvc/testdata/";

const json::Object& recorded() {
  static const json::Object object = *json::parse_object(*read_file(kData + "kserve_v0_20.json"));
  return object;
}

std::vector<std::string> inputs() {
  std::vector<std::string> names;
  for (const auto& member : recorded()) {
    names.emplace_back(member.key());
  }
  return names;
}

void force_namespace(json::YamlDocument& document) {
  auto& metadata = document.value.at("metadata").as_object();
  metadata["namespace"] = "NAMESPACE";
}

// Everything the file's services render to, in the namespace the recordings were blanked to.
std::vector<json::Object> render_input(const std::string& name) {
  auto manifest = parse_manifest(*read_file(kData + "inputs/" + name + ".yaml"), name + ".yaml");
  EXPECT_TRUE(manifest) << manifest.error().text();
  for (auto* list : {&manifest->configs, &manifest->services}) {
    std::ranges::for_each(*list, force_namespace);
  }
  const Facts facts = with_configs({}, *manifest);
  std::vector<json::Object> objects;
  for (const json::YamlDocument& document : manifest->services) {
    Compiled compiled = compile(document.value.get_object(), facts);
    EXPECT_FALSE(has_errors(compiled.findings)) << error_of(compiled.findings).text();
    for (json::Object& object : compiled.objects) {
      objects.push_back(std::move(object));
    }
  }
  return objects;
}

std::set<std::string> names_in(const json::Value& root, std::string_view path) {
  std::set<std::string> names;
  const auto* list = json::array_at(root, path);
  for (const json::Value& item : list != nullptr ? *list : json::Array()) {
    names.emplace(item.is_string() ? item.get_string().c_str()
                                   : std::string(json::string_at(item, "name").value_or("")));
  }
  return names;
}

std::set<std::string> backends_of(const json::Value& route) {
  std::set<std::string> names;
  const auto* rules = json::array_at(route, "spec.rules");
  for (const json::Value& rule : rules != nullptr ? *rules : json::Array()) {
    const auto* backends = json::array_at(rule, "backendRefs");
    for (const json::Value& backend : backends != nullptr ? *backends : json::Array()) {
      names.insert(fmt::format("{}/{}:{}", json::string_at(backend, "kind").value_or("Service"),
                               *json::string_at(backend, "name"), json::int_at(backend, "port").value_or(0)));
    }
  }
  return names;
}

std::set<std::string> parents_of(const json::Value& route) {
  std::set<std::string> names;
  const auto* parents = json::array_at(route, "spec.parentRefs");
  for (const json::Value& parent : parents != nullptr ? *parents : json::Array()) {
    names.insert(fmt::format("{}/{}", json::string_at(parent, "namespace").value_or(""),
                             *json::string_at(parent, "name")));
  }
  return names;
}

void expect_equal(const json::Value& theirs, std::string_view their_path, const json::Value& ours,
                  std::string_view our_path) {
  const json::Value* wanted = json::find(theirs, their_path);
  if (wanted == nullptr) {
    return;
  }
  const json::Value* got = json::find(ours, our_path);
  ASSERT_NE(got, nullptr) << our_path;
  EXPECT_EQ(json::write(*got), json::write(*wanted)) << our_path;
}

// Maps and objects are compared without regard to the order of members.
void expect_same(const json::Value& theirs, std::string_view their_path, const json::Value& ours,
                 std::string_view our_path) {
  const json::Value* wanted = json::find(theirs, their_path);
  const json::Value* got = json::find(ours, our_path);
  if (wanted != nullptr) {
    EXPECT_TRUE(got != nullptr && *got == *wanted)
        << our_path << ": " << (got != nullptr ? json::write(*got) : "absent") << " instead of "
        << json::write(*wanted);
  }
}

void expect_names(const json::Value& theirs, std::string_view key, const std::set<std::string>& ours) {
  for (const std::string& name : names_in(theirs, key)) {
    EXPECT_TRUE(ours.contains(name)) << key << ": " << name;
  }
}

void compare(const json::Value& theirs, const json::Value& ours) {
  expect_same(theirs, "labels", ours, "metadata.labels");
  const std::string_view kind = *json::string_at(theirs, "kind");
  if (kind == "Service" || kind == "InferencePool") {
    expect_same(theirs, "selector", ours, "spec.selector");
    expect_same(theirs, "ports", ours, "spec.ports");
  } else if (kind == "Deployment") {
    if (json::find(ours, "spec.replicas") != nullptr) {
      expect_equal(theirs, "replicas", ours, "spec.replicas");
    }
    expect_same(theirs, "podLabels", ours, "spec.template.metadata.labels");
    expect_names(theirs, "containers", names_in(ours, "spec.template.spec.containers"));
    expect_names(theirs, "initContainers", names_in(ours, "spec.template.spec.initContainers"));
  } else if (kind == "LeaderWorkerSet") {
    expect_equal(theirs, "size", ours, "spec.leaderWorkerTemplate.size");
    expect_equal(theirs, "replicas", ours, "spec.replicas");
  } else if (kind == "HTTPRoute") {
    expect_names(theirs, "rules", names_in(ours, "spec.rules"));
    expect_names(theirs, "backends", backends_of(ours));
    EXPECT_EQ(parents_of(ours), names_in(theirs, "parents"));
  } else if (kind == "RoleBinding" || kind == "ClusterRoleBinding") {
    expect_equal(theirs, "subject", ours, "subjects[0].name");
    expect_equal(theirs, "role", ours, "roleRef.name");
  }
}

class Compatibility : public testing::TestWithParam<std::string> {};

TEST_P(Compatibility, RendersWhatKServeMade) {
  const auto objects = render_input(GetParam());
  for (const json::Value& theirs : recorded().at(GetParam()).as_array()) {
    const auto text = [&](std::string_view path) { return std::string(*json::string_at(theirs, path)); };
    SCOPED_TRACE(text("apiVersion") + " " + text("kind") + " " + text("name"));
    const auto same = std::ranges::find_if(objects, [&](const json::Object& object) {
      const json::Value value(object);
      return json::string_at(value, "apiVersion") == text("apiVersion") &&
             json::string_at(value, "kind") == text("kind") &&
             json::string_at(value, "metadata.name") == text("name");
    });
    if (same == objects.end()) {
      ADD_FAILURE() << "not rendered";
      continue;
    }
    compare(theirs, json::Value(*same));
  }
}

INSTANTIATE_TEST_SUITE_P(Recorded, Compatibility, testing::ValuesIn(inputs()), [](const auto& param) {
  std::string name = "Input_" + param.param;
  std::ranges::replace(name, '-', '_');
  return name;
});

}  // namespace
}  // namespace llmd::llmisvc
