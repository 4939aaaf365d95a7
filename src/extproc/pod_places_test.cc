// Where pods are, as their labels and names say, and how that moves prefill near decode.
#include <gtest/gtest.h>

#include "extproc/kube_pool.h"
#include "json/value.h"
#include "picker/picker.h"

namespace llmd::extproc {
namespace {

using Places = std::map<std::string, std::string>;

struct Placed {
  std::string name;
  std::string role;
  Places labels = {};
  std::string hostname = {};  // spec.hostname
  bool ready = true;
};

kube::Object pod(const Placed& placed) {
  json::Object labels;
  labels["app"] = "m";
  labels["llm-d.ai/role"] = placed.role;
  for (const auto& [name, value] : placed.labels) {
    labels[name] = value;
  }
  auto made = json::parse_object(fmt::format(
                                     R"({{"metadata": {{"name": "{}", "namespace": "team"}}, "spec": {{}},
      "status": {{"podIP": "10.0.0.1", "conditions": [{{"type": "Ready", "status": "{}"}}]}}}})",
                                     placed.name, placed.ready ? "True" : "False"))
                  .value();
  kube::at(made, "metadata.labels") = json::Value(labels);
  if (!placed.hostname.empty()) {
    kube::at(made, "spec.hostname") = json::String(placed.hostname);
  }
  return made;
}

const kube::Object kPool = json::parse_object(R"({"metadata": {"name": "p"}, "spec": {
    "selector": {"matchLabels": {"app": "m"}}, "targetPorts": [{"number": 1}, {"number": 2}]}})")
                               .value();

std::vector<picker::Endpoint> endpoints(const std::vector<Placed>& placed) {
  std::vector<kube::Object> pods;
  for (const Placed& each : placed) {
    pods.push_back(pod(each));
  }
  std::vector<const kube::Object*> all;
  for (const kube::Object& each : pods) {
    all.push_back(&each);
  }
  return endpoints_of(kPool, all);
}

std::unique_ptr<picker::Picker> near_decode(std::string_view extractor = "{type: topology-extractor}") {
  const std::string config = fmt::format(R"(plugins:
- {}
- {{type: prefill-filter}}
- {{type: decode-filter}}
- {{type: always-disagg-pd-decider}}
- {{type: topology-affinity-scorer}}
- {{type: disagg-profile-handler, parameters: {{deciders: {{prefill: always-disagg-pd-decider}}}}}}
schedulingProfiles:
- {{name: prefill, plugins: [{{pluginRef: prefill-filter}}, {{pluginRef: topology-affinity-scorer}}]}}
- {{name: decode, plugins: [{{pluginRef: decode-filter}}]}}
)",
                                         extractor);
  auto made =
      picker::Picker::from_config(config, "x.yaml", {.load = {.allow_experimental = true, .seed = 3}});
  EXPECT_TRUE(made) << made.error().text();
  return std::move(*made);
}

// The pod that prefills; "any" where it is not always the same.
std::string prefills(picker::Picker& picker) {
  std::set<std::string> seen;
  for (int i = 0; i < 24; ++i) {
    const auto decision = picker.pick({.model = "m"});
    seen.insert(decision && decision->prefill() != nullptr
                    ? decision->prefill_lease.endpoint()->described()->pod
                    : "nobody");
  }
  return seen.size() == 1 ? *seen.begin() : "any";
}

TEST(PodPlaces, AreReadFromLabelsAndTheHostAlsoFromThePodsName) {
  const std::string host = "kubernetes.io/hostname";
  const std::string rack = "topology.kubernetes.io/rack";
  const std::string zone = "topology.kubernetes.io/zone";
  const std::string region = "topology.kubernetes.io/region";
  struct Row {
    const char* what;
    Placed decode;
    Placed one;
    Placed other;
    const char* expected;
  };
  const Row rows[] = {
      {"nobody says anything", {"d", "decode"}, {"one", "prefill"}, {"other", "prefill"}, "any"},
      {"the same host",
       {"d", "decode", {{host, "h1"}}},
       {"one", "prefill", {{host, "h1"}}},
       {"other", "prefill", {{host, "h2"}}},
       "one"},
      {"the same rack",
       {"d", "decode", {{rack, "r"}}},
       {"one", "prefill", {{rack, "r"}}},
       {"other", "prefill", {{rack, "s"}}},
       "one"},
      {"the same zone",
       {"d", "decode", {{zone, "z"}}},
       {"one", "prefill"},
       {"other", "prefill", {{zone, "z"}}},
       "other"},
      {"the same region",
       {"d", "decode", {{region, "g"}}},
       {"one", "prefill", {{region, "g"}}},
       {"other", "prefill", {{region, "f"}}},
       "one"},
      {"a host is nearer than a zone",
       {"d", "decode", {{host, "h"}, {zone, "z"}}},
       {"one", "prefill", {{zone, "z"}}},
       {"other", "prefill", {{host, "h"}}},
       "other"},
      {"names of pods where no label is",
       {"d", "decode", {}, "h1"},
       {"one", "prefill", {}, "h1"},
       {"other", "prefill", {}, "h2"},
       "one"},
      {"a label before a name",
       {"d", "decode", {{host, "h1"}}, "h2"},
       {"one", "prefill", {}, "h2"},
       {"other", "prefill", {}, "h1"},
       "other"},
      {"an empty label is none",
       {"d", "decode", {{host, ""}}, "h1"},
       {"one", "prefill", {{host, ""}}, "h1"},
       {"other", "prefill", {{host, ""}}},
       "one"},
      {"a name is a host and no zone",
       {"d", "decode", {{zone, "h1"}}},
       {"one", "prefill", {}, "h1"},
       {"other", "prefill", {{zone, "h1"}}},
       "other"},
  };
  for (const Row& row : rows) {
    const auto picker = near_decode();
    picker->update(endpoints({row.decode, row.one, row.other}));
    EXPECT_EQ(prefills(*picker), row.expected) << row.what;
  }
}

TEST(PodPlaces, LabelsMayHaveOtherNames) {
  const std::vector<Placed> pods{{"d", "decode", {{"my/host", "h"}, {"kubernetes.io/hostname", "x"}}},
                                 {"one", "prefill", {{"my/host", "h"}, {"kubernetes.io/hostname", "y"}}},
                                 {"other", "prefill", {{"my/host", "i"}, {"kubernetes.io/hostname", "x"}}}};
  const auto own = near_decode("{type: topology-extractor, parameters: {hostname: my/host}}");
  own->update(endpoints(pods));
  EXPECT_EQ(prefills(*own), "one");
  const auto usual = near_decode("{type: topology-extractor, parameters: {hostname: \"\"}}");
  usual->update(endpoints(pods));
  EXPECT_EQ(prefills(*usual), "other");
}

TEST(PodPlaces, EveryPortOfAPodIsWhereThePodIs) {
  const auto picker = near_decode();
  picker->update(
      endpoints({{"d", "decode", {}, "h1"}, {"one", "prefill", {}, "h1"}, {"other", "prefill", {}, "h2"}}));
  std::set<std::string> ports;
  for (int i = 0; i < 64; ++i) {
    const auto decision = picker->pick({.model = "m"});
    ASSERT_TRUE(decision);
    ports.insert(decision->prefill()->name);
  }
  EXPECT_EQ(ports, (std::set<std::string>{"one-rank-0", "one-rank-1"}));
}

TEST(PodPlaces, FollowThePods) {
  const auto picker = near_decode();
  const Placed decode{"d", "decode", {}, "h1"};
  const Placed near{"near", "prefill", {}, "h1"};
  const Placed far{"far", "prefill", {}, "h2"};
  picker->update(endpoints({decode, far}));
  EXPECT_EQ(prefills(*picker), "far") << "nobody else is there";
  picker->update(endpoints({decode, far, near}));
  EXPECT_EQ(prefills(*picker), "near");
  Placed not_ready = near;
  not_ready.ready = false;
  picker->update(endpoints({decode, far, not_ready}));
  EXPECT_EQ(prefills(*picker), "far");
  Placed moved = far;
  moved.labels["kubernetes.io/hostname"] = "h1";
  picker->update(endpoints({decode, moved, {"new", "prefill", {}, "h3"}}));
  EXPECT_EQ(prefills(*picker), "far") << "its label came later";
}

}  // namespace
}  // namespace llmd::extproc
