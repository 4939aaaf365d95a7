// How many custom metrics a configuration may have.
#include <gmock/gmock.h>

#include <cmath>

#include "picker/datalayer/scrape_scene.h"

namespace llmd::picker {
namespace {

// Metrics m0, m1, … as attributes a0, a1, …
std::string wanting(std::size_t count) {
  std::string metrics;
  for (std::size_t i = 0; i < count; ++i) {
    metrics += fmt::format("{}{{attributeKey: a{}, metricSpec: m{}}}", i == 0 ? "" : ", ", i, i);
  }
  return scraping(fmt::format("- type: metrics-data-source\n- {{type: core-metrics-extractor, parameters: "
                              "{{customMetrics: [{}]}}}}\n",
                              metrics),
                  "[{pluginRef: metrics-data-source, extractors: [{pluginRef: core-metrics-extractor}]}]");
}

TEST(CustomMetrics, MayBeManyAndEachHasItsNumber) {
  for (const std::size_t count : {kInlineCustomMetrics, kInlineCustomMetrics + 1, kMostCustomMetrics}) {
    ScrapeScene scene;
    int whole = 0;
    const auto exporter = scene.serve([&](const http::RequestHead& request) {
      whole += request.query().empty() ? 1 : 0;
      std::string page = request.query().empty() ? std::string(100'000, '#') + "\n" : "";
      for (std::size_t i = 0; i < count; i += 2) {
        page += fmt::format("m{} {}\n", i, i + 0.5);
      }
      return page;
    });
    scene.configure(wanting(count), {{.address = exporter, .name = "e"}});
    EXPECT_TRUE(scene.until([](const auto& stats) { return stats.pages >= 5; })) << count;
    EXPECT_EQ(whole, 1) << "its exporter answers with the wanted series alone";
    for (std::size_t i = 0; i < count; ++i) {
      const float found = scene.attribute(fmt::format("a{}", i));
      EXPECT_EQ(std::isnan(found) ? -1 : found, i % 2 == 0 ? static_cast<float>(i) + 0.5F : -1) << i;
    }
  }
}

TEST(CustomMetrics, TooManyAreAMistakeThatSaysHowManyThereMayBe) {
  const auto picker = Picker::from_config(wanting(kMostCustomMetrics + 1), "test.yaml");
  ASSERT_FALSE(picker);
  EXPECT_THAT(picker.error().text(), testing::HasSubstr("at most 256 custom metrics"));
  EXPECT_THAT(picker.error().text(), testing::HasSubstr("'a256'"));
}

TEST(CustomMetrics, APartThatLacksOneIsNotTakenForTheWholePage) {
  constexpr std::size_t kCount = kInlineCustomMetrics + 4;
  ScrapeScene scene;
  int whole = 0;
  const auto exporter = scene.serve([&](const http::RequestHead& request) {
    const bool is_whole = request.query().empty();
    whole += is_whole ? 1 : 0;
    std::string page = is_whole ? std::string(100'000, '#') + "\n" : "";
    for (std::size_t i = 0; i < (is_whole ? kCount : kCount - 1); ++i) {
      page += fmt::format("m{} 1\n", i);
    }
    return page;
  });
  scene.configure(wanting(kCount), {{.address = exporter, .name = "e"}});
  EXPECT_TRUE(scene.until([&](const auto&) { return whole >= 5; }));
}

}  // namespace
}  // namespace llmd::picker
