#include "llmisvc/convert_version.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "json/path.h"
#include "llmisvc/compile.h"
#include "llmisvc/object_edit.h"
#include "llmisvc/schema.h"

namespace llmd::llmisvc {
namespace {

json::Object object(std::string_view text) {
  const auto parsed = json::parse_object(text);
  EXPECT_TRUE(parsed) << parsed.error().text();
  return parsed.value_or(json::Object());
}

// Objects of a version as its schema allows them: every optional field is there or not, lists have up to
// three elements. What the version does not know is left out.
class RandomObject {
 public:
  explicit RandomObject(unsigned seed) : random_(seed) {}

  json::Object make(std::string_view version) {
    json::Value spec = of(service_spec_schema(), 0);
    json::Value root(json::Object{{"apiVersion", "serving.kserve.io/" + std::string(version)},
                                  {"kind", chance() ? "LLMInferenceService" : "LLMInferenceServiceConfig"},
                                  {"metadata", {{"name", "x"}}},
                                  {"spec", std::move(spec)}});
    if (chance()) {
      (void)json::set_at(root, "metadata.annotations", json::Value(json::Object{{"mine", "kept"}}));
    }
    if (version == "v1alpha2") {
      remove(root, "spec.model", "criticality");
      for_each_adapter(root, [](json::Object& adapter) { adapter.erase("criticality"); });
    } else {
      remove(root, "spec", "kvCacheOffloading");
      remove(root, "spec.prefill", "kvCacheOffloading");
      remove(root, "spec.model", "confidential");
    }
    if (json::find(root, "spec.router.scheduler") != nullptr && chance()) {
      (void)json::set_at(root, "spec.router.scheduler.pool",
                         json::Value(json::Object{{"spec", pool(version)}}));
    } else {
      remove(root, "spec.router.scheduler", "pool");
    }
    return root.get_object();
  }

 private:
  bool chance() { return random_() % 2 == 0; }

  static void remove(json::Value& root, std::string_view path, std::string_view key) {
    auto* owner = json::find(root, path);
    if (owner != nullptr && owner->is_object()) {
      owner->get_object().erase(key_text(key));
    }
  }

  template <typename Edit>
  static void for_each_adapter(json::Value& root, const Edit& edit) {
    auto* list = json::find(root, "spec.model.lora.adapters");
    for (std::size_t i = 0; list != nullptr && i < list->get_array().size(); ++i) {
      edit(list->get_array()[i].get_object());
    }
  }

  json::Object pool(std::string_view version) {
    json::Object spec;
    json::Object labels;
    for (unsigned i = random_() % 3; i > 0; --i) {
      labels[fmt::format("key{}", i)] = "value";
    }
    json::Object picker{{"name", "picker"}};
    const bool v1 = version == "v1alpha2";
    if (chance()) {
      picker["failureMode"] = "FailOpen";
    }
    if (chance()) {
      v1 ? void(picker["port"] = json::Object{{"number", 9002}}) : void(picker["portNumber"] = 9002);
    }
    if (chance()) {
      v1 ? void(spec["selector"] = json::Object{{"matchLabels", labels}}) : void(spec["selector"] = labels);
    }
    if (chance()) {
      v1 ? void(spec["endpointPickerRef"] = picker) : void(spec["extensionRef"] = picker);
    }
    if (chance()) {
      if (v1) {
        json::Array ports;
        for (unsigned i = random_() % 4; i > 0; --i) {
          ports.push_back(json::Object{{"number", 8000 + i}});
        }
        spec["targetPorts"] = std::move(ports);
      } else {
        spec["targetPortNumber"] = 8000;
      }
    }
    if (v1 && chance()) {
      spec["appProtocol"] = "http";
    }
    return spec;
  }

  json::Value of(const json::Value& schema, int depth) {
    const json::Object& object = schema.get_object();
    const auto* type = object.if_contains("type");
    const std::string_view name = type != nullptr ? text_view(*type) : "any";
    if (name == "object") {
      json::Object result;
      if (const auto* fields = object.if_contains("properties")) {
        for (const auto& field : fields->get_object()) {
          // Deep in a pod fields become rare, or objects would be endless.
          if (random_() % static_cast<unsigned>(depth + 2) == 0 || field.key() == "model") {
            result[field.key()] = of(field.value(), depth + 1);
          }
        }
      } else if (const auto* values = object.if_contains("additionalProperties")) {
        result["some.domain/key"] = of(*values, depth + 1);
      }
      return json::Value(std::move(result));
    }
    if (name == "array") {
      json::Array list;
      for (unsigned i = random_() % 3; i > 0; --i) {
        list.push_back(of(object.at("items"), depth + 1));
      }
      return json::Value(std::move(list));
    }
    if (name == "integer") {
      return json::Value(static_cast<std::int64_t>(random_() % 100 + 1));
    }
    if (name == "boolean") {
      return json::Value(chance());
    }
    if (name == "number") {
      return json::Value(0.5);
    }
    if (const auto* choices = object.if_contains("enum")) {
      return choices->get_array()[random_() % choices->get_array().size()];
    }
    return json::Value(fmt::format("text{}", random_() % 10));
  }

  std::mt19937 random_;
};

TEST(ConvertVersion, NothingIsLostThereAndBack) {
  for (unsigned seed = 0; seed < 2000; ++seed) {
    for (const auto& [from, to] : {std::pair{"v1alpha1", "v1alpha2"}, std::pair{"v1alpha2", "v1alpha1"}}) {
      const json::Object original = RandomObject(seed).make(from);
      const json::Object there = to_version(original, to);
      const json::Object back = to_version(there, from);
      ASSERT_EQ(json::Value(back), json::Value(original))
          << "seed " << seed << ", by way of " << json::write(json::Value(there));
      ASSERT_EQ(json::Value(to_version(original, from)), json::Value(original)) << "seed " << seed;
    }
  }
}

TEST(ConvertVersion, CriticalityMovesIntoTheAnnotationsThatKServeUses) {
  const auto converted =
      to_version(object(R"({"apiVersion": "serving.kserve.io/v1alpha1", "kind": "LLMInferenceService",
    "metadata": {"name": "a"}, "spec": {"model": {"uri": "hf://a/b", "criticality": "Critical",
      "lora": {"adapters": [{"name": "x"}, {"name": "y", "criticality": "Sheddable"}]}}}})"),
                 "v1alpha2");
  EXPECT_EQ(json::Value(converted), json::Value(object(R"({"apiVersion": "serving.kserve.io/v1alpha2",
    "kind": "LLMInferenceService", "metadata": {"name": "a", "annotations": {
      "internal.serving.kserve.io/model-criticality": "Critical",
      "internal.serving.kserve.io/lora-criticalities": "{\"1\":\"Sheddable\"}"}},
    "spec": {"model": {"uri": "hf://a/b", "lora": {"adapters": [{"name": "x"}, {"name": "y"}]}}}})")));
}

TEST(ConvertVersion, APoolChangesItsShape) {
  const auto converted =
      to_version(object(R"({"apiVersion": "serving.kserve.io/v1alpha1", "kind": "LLMInferenceService",
    "metadata": {"name": "a"}, "spec": {"model": {"uri": "hf://a/b"}, "router": {"scheduler": {"pool": {"spec": {
      "selector": {"app": "a"}, "targetPortNumber": 8000,
      "extensionRef": {"name": "picker", "portNumber": 9002, "failureMode": "FailOpen"}}}}}}})"),
                 "v1alpha2");
  const json::Value value(converted);
  EXPECT_EQ(json::find(value, "metadata.annotations"), nullptr);
  EXPECT_EQ(*json::find(value, "spec.router.scheduler.pool.spec"), json::Value(object(R"({
    "selector": {"matchLabels": {"app": "a"}}, "targetPorts": [{"number": 8000}],
    "endpointPickerRef": {"name": "picker", "port": {"number": 9002}, "failureMode": "FailOpen"}})")));
}

TEST(ConvertVersion, AChangeMadeInBetweenWins) {
  auto there =
      to_version(object(R"({"apiVersion": "serving.kserve.io/v1alpha2", "kind": "LLMInferenceService",
    "metadata": {"name": "a"}, "spec": {"model": {"uri": "hf://a/b"}, "kvCacheOffloading": {"cpu": "1Gi"},
      "router": {"scheduler": {"pool": {"spec": {"targetPorts": [{"number": 1}, {"number": 2}]}}}}}})"),
                 "v1alpha1");
  json::Value edited(there);
  ASSERT_TRUE(json::set_at(edited, "spec.kvCacheOffloading", json::Value(json::Object{{"cpu", "2Gi"}})));
  ASSERT_TRUE(json::set_at(edited, "spec.router.scheduler.pool.spec.targetPortNumber", json::Value(7)));
  const json::Value back(to_version(edited.get_object(), "v1alpha2"));
  EXPECT_EQ(json::string_at(back, "spec.kvCacheOffloading.cpu"), "2Gi");
  EXPECT_EQ(*json::find(back, "spec.router.scheduler.pool.spec.targetPorts"),
            json::Value(json::Array{json::Object{{"number", 7}}}));
}

TEST(ConvertVersion, BothVersionsRenderTheSame) {
  const auto service = object(R"({"apiVersion": "serving.kserve.io/v1alpha1", "kind": "LLMInferenceService",
    "metadata": {"name": "a"}, "spec": {"model": {"uri": "hf://a/b", "criticality": "Sheddable"},
      "router": {"gateway": {}, "route": {}, "scheduler": {"pool": {"spec": {"selector": {},
        "targetPortNumber": 8000}}}}}})");
  Facts facts;
  facts.has_inference_objective = true;
  const auto before = compile(service, facts);
  const auto after = compile(to_version(service, "v1alpha2"), facts);
  ASSERT_FALSE(before.objects.empty());
  EXPECT_EQ(after.service.model.criticality, "Sheddable");
  ASSERT_EQ(before.objects.size(), after.objects.size());
}

}  // namespace
}  // namespace llmd::llmisvc
