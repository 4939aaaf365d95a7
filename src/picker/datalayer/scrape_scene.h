// Exporters that answer as a test says, and a scraper that asks them, on one loop. Test code only.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "async/event.h"
#include "async/scope.h"
#include "http/server.h"
#include "picker/datalayer/scraper.h"
#include "picker/plan.h"

namespace llmd::picker {

struct ScrapeScene {
  ScrapeScene() = default;
  ScrapeScene(const ScrapeScene&) = delete;
  ~ScrapeScene() { loop.block_on(running.close()); }

  using Pages = std::function<std::string(const http::RequestHead&)>;

  // Answers every request with a page; an empty one means that it never answers.
  net::Address serve(Pages pages, std::shared_ptr<const net::TlsServer> tls = nullptr) {
    auto answer = [this, pages = std::move(pages)](http::Exchange& exchange) -> Task<void> {
      const std::string page = pages(exchange.request());
      if (page.empty()) {
        async::Event never(loop.executor());
        co_await never.wait();
      }
      co_await exchange.respond(200, "text/plain", page);
    };
    return serve_by(answer, std::move(tls));
  }
  // The same, in whatever way it answers.
  net::Address serve_by(http::Handler answer, std::shared_ptr<const net::TlsServer> tls = nullptr) {
    exporters.push_back(
        std::make_unique<http::Server>(loop, http::ServerOptions{.tls = std::move(tls)}, std::move(answer)));
    const auto address = exporters.back()->listen({"127.0.0.1", 0}).value();
    running.spawn("exporter", exporters.back()->run());
    return address;
  }

  void configure(std::string_view config, std::vector<Endpoint> endpoints) {
    auto made = Picker::from_config(config, "test.yaml", {.load = {.allow_experimental = true}});
    ASSERT_TRUE(made) << made.error().text();
    picker = std::move(*made);
    picker->update(std::move(endpoints));
  }
  const EndpointState& endpoint(std::size_t at = 0) const { return *picker->endpoints()->endpoints[at]; }
  // Of an attribute that the configuration mentions.
  float attribute(std::string_view name, std::size_t at = 0) const {
    const auto& names = picker->plan().custom_metrics;
    const auto found = std::ranges::find(names, name);
    EXPECT_NE(found, names.end()) << name;
    return endpoint(at).custom(static_cast<std::size_t>(found - names.begin()));
  }

  // Scrapes until it holds; false: it did not in a long time.
  bool until(const std::function<bool(const Scraper::Stats&)>& holds) {
    Scraper scraper(loop, *picker, options);
    bool held = false;
    const auto scene = [&]() -> Task<void> {
      co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
        scope.spawn("scraper", scraper.run());
        const auto deadline = async::Deadline::after(std::chrono::seconds(30));
        while (!(held = holds(scraper.stats())) && !deadline.expired()) {
          co_await async::sleep(std::chrono::milliseconds(1));
        }
      });
    };
    loop.block_on(scene());
    return held;
  }
  bool until_known(std::size_t at = 0) {
    return until(
        [&](const auto&) { return endpoint(at).age(std::chrono::steady_clock::now()) != Duration::max(); });
  }
  bool until_failed(std::uint64_t times = 3) {
    return until([times](const Scraper::Stats& stats) { return stats.failures >= times; });
  }

  async::EventLoop loop;
  std::vector<std::unique_ptr<http::Server>> exporters;
  async::Scope running{loop};  // the exporters
  std::unique_ptr<Picker> picker;
  ScrapeOptions options{.interval = std::chrono::milliseconds(2),
                        .shortest_interval = std::chrono::milliseconds(2),
                        .longest_interval = std::chrono::milliseconds(10),
                        .timeout = std::chrono::seconds(10)};
};

// Plugins and sources of a configuration that scrapes; `sources` as in dataLayer.
inline std::string scraping(std::string_view plugins, std::string_view sources) {
  return "plugins:\n- type: random-picker\n" + std::string(plugins) +
         "dataLayer:\n  injectDefaults: false\n  sources: " + std::string(sources) + "\n";
}

}  // namespace llmd::picker
