// Watches, lists and tables over HTTP.
#include "apiserver/api_fixture.h"
#include "apiserver/table.h"
#include "kube/informer.h"

namespace llmd::apiserver {
namespace {

kube::Object config_map(std::string_view name, std::string_view label = "") {
  kube::Object object{{"apiVersion", "v1"}, {"kind", "ConfigMap"}};
  kube::at(object, "metadata.name") = name;
  kube::at(object, "metadata.namespace") = "default";
  if (!label.empty()) {
    kube::at(object, "metadata.labels.app") = label;
  }
  return object;
}

// Collects the events of a watch until `count` are there.
Task<std::vector<std::string>> events(Api& api, std::string selector, std::size_t count,
                                      std::function<Task<void>()> act, std::string version = {}) {
  std::vector<std::string> seen;
  async::Event enough(api.loop.executor());
  const std::function<Task<void>(async::Scope&)> body = [&](async::Scope& scope) -> Task<void> {
    if (version.empty()) {
      const auto listed = co_await api.client.list(kube::kConfigMaps, "default");
      version = listed->resource_version;
    }
    const std::function<Task<void>()> follow = [&]() -> Task<void> {
      kube::ListOptions options;
      options.label_selector = selector;
      const std::function<void(kube::WatchEvent)> take = [&](kube::WatchEvent event) {
        static constexpr const char* kNames[] = {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"};
        seen.push_back(
            fmt::format("{} {}", kNames[static_cast<int>(event.type)], kube::name_of(event.object)));
        if (seen.size() == count) {
          enough.set();
        }
      };
      const auto ended = co_await api.client.watch(kube::kConfigMaps, "default", options, version, take);
      if (!ended) {
        seen.push_back("ERROR " + ended.error().message);
      }
      enough.set();
    };
    scope.spawn("watch", follow());
    co_await act();
    co_await enough.wait();
  };
  co_await async::with_scope(api.loop.executor(), body);
  co_return seen;
}

TEST(Watch, TellsEveryChangeInOrder) {
  with_server([](Api& api) -> Task<void> {
    const std::function<Task<void>()> act = [&api]() -> Task<void> {
      auto made = co_await api.client.create(kube::kConfigMaps, config_map("a"));
      kube::at(*made, "data.k") = "v";
      static_cast<void>(co_await api.client.update(kube::kConfigMaps, *made));
      static_cast<void>(co_await api.client.remove(kube::kConfigMaps, {"default", "a"}));
    };
    const auto seen = co_await events(api, "", 3, act);
    EXPECT_EQ(seen, (std::vector<std::string>{"ADDED a", "MODIFIED a", "DELETED a"}));
  });
}

TEST(Watch, AnObjectThatLeavesTheSelectionIsDeletedForTheWatcher) {
  with_server([](Api& api) -> Task<void> {
    const std::function<Task<void>()> act = [&api]() -> Task<void> {
      auto made = co_await api.client.create(kube::kConfigMaps, config_map("a", "web"));
      kube::at(*made, "metadata.labels.app") = "other";
      static_cast<void>(co_await api.client.update(kube::kConfigMaps, *made));
    };
    const auto seen = co_await events(api, "app=web", 2, act);
    EXPECT_EQ(seen, (std::vector<std::string>{"ADDED a", "DELETED a"}));
  });
}

TEST(Watch, FromAVersionBeforeTheRestartMustListAgain) {
  const TestFolder folder;
  with_server(folder.path, [](Api& api) -> Task<void> {
    static_cast<void>(co_await api.client.create(kube::kConfigMaps, config_map("a")));
  });
  with_server(folder.path, [](Api& api) -> Task<void> {
    const std::function<Task<void>()> nothing = []() -> Task<void> { co_return; };
    const auto seen = co_await events(api, "", 1, nothing, "1");
    EXPECT_EQ(seen.size(), 1U);
    EXPECT_TRUE(seen.front().starts_with("ERROR too old resource version: 1"));
  });
}

TEST(Informer, HasACopyThatFollows) {
  with_server([](Api& api) -> Task<void> {
    kube::Informer informer(api.loop, api.client, kube::kConfigMaps);
    async::Event changed(api.loop.executor());
    informer.on_change([&](const kube::Object*, const kube::Object*) { changed.set(); });
    const std::function<Task<void>(async::Scope&)> body = [&](async::Scope& scope) -> Task<void> {
      static_cast<void>(co_await api.client.create(kube::kConfigMaps, config_map("a")));
      scope.spawn("informer", informer.run());
      co_await informer.synced();
      EXPECT_NE(informer.find({"default", "a"}), nullptr);
      changed.reset();
      static_cast<void>(co_await api.client.remove(kube::kConfigMaps, {"default", "a"}));
      co_await changed.wait();
      EXPECT_EQ(informer.find({"default", "a"}), nullptr);
    };
    co_await async::with_scope(api.loop.executor(), body);
  });
}

TEST(List, PagesContinueWhereTheLastOneEnded) {
  with_server([](Api& api) -> Task<void> {
    for (const char* name : {"a", "b", "c"}) {
      static_cast<void>(co_await api.client.create(kube::kConfigMaps, config_map(name)));
    }
    const std::string path = "/api/v1/namespaces/default/configmaps?limit=2";
    const Got first = co_await api.send("GET", path);
    EXPECT_EQ(first.object().at("items").as_array().size(), 2U);
    EXPECT_EQ(kube::find_int(first.object(), "metadata.remainingItemCount", 0), 1);
    const Got second =
        co_await api.send("GET", path + "&continue=" + http::percent_encode(first.text("metadata.continue")));
    EXPECT_EQ(second.object().at("items").as_array().size(), 1U);
    EXPECT_EQ(second.text("metadata.continue"), "");
    EXPECT_FALSE(second.object().at("items").at(0).as_object().contains("kind"));
  });
}

constexpr const char* kAsTable = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

TEST(Table, ShowsAModelsUrlAndReadiness) {
  with_server([](Api& api) -> Task<void> {
    auto model = parsed(R"({"apiVersion":"serving.kserve.io/v1alpha1","kind":"LLMInferenceService",
        "metadata":{"name":"m","namespace":"default"},"spec":{"model":{"uri":"file:///x"}}})");
    auto made = co_await api.client.create(kube::kLlmServices, model);
    kube::at(*made, "status.url") = "http://x";
    kube::set_condition(*made, "Ready", "False", "Starting", "", "2026-01-01T00:00:00Z");
    static_cast<void>(co_await api.client.update_status(kube::kLlmServices, *made));
    const Got table =
        co_await api.send("GET", "/apis/serving.kserve.io/v1alpha1/llminferenceservices", "", "", kAsTable);
    EXPECT_EQ(table.text("kind"), "Table");
    const auto& cells = table.object().at("rows").at(0).at("cells").as_array();
    EXPECT_EQ(cells.at(1), boost::json::value("http://x"));
    EXPECT_EQ(cells.at(2), boost::json::value("False"));
    EXPECT_EQ(cells.at(3), boost::json::value("Starting"));
  });
}

struct AgeCase {
  long long seconds;
  const char* text;
};
class Age : public testing::TestWithParam<AgeCase> {};

TEST_P(Age, IsWrittenAsPeopleRead) {
  const auto start = *parse_rfc3339("2026-01-01T00:00:00Z");
  EXPECT_EQ(age_text("2026-01-01T00:00:00Z", start + std::chrono::seconds(GetParam().seconds)),
            GetParam().text);
}

INSTANTIATE_TEST_SUITE_P(Rules, Age,
                         testing::Values(AgeCase{0, "0s"}, AgeCase{119, "119s"}, AgeCase{120, "2m"},
                                         AgeCase{130, "2m10s"}, AgeCase{599, "9m59s"}, AgeCase{600, "10m"},
                                         AgeCase{3 * 3600, "3h"}, AgeCase{3 * 3600 + 60, "3h1m"},
                                         AgeCase{8 * 3600, "8h"}, AgeCase{47 * 3600, "47h"},
                                         AgeCase{48 * 3600, "2d"}, AgeCase{50 * 3600, "2d2h"},
                                         AgeCase{8 * 86400, "8d"}, AgeCase{800 * 86400, "2y70d"},
                                         AgeCase{-5, "<invalid>"}));

}  // namespace
}  // namespace llmd::apiserver
