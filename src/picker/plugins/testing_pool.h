// A picker with endpoints, for tests of plugins: what a decision was, and what a scorer said. Test code only.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "json/path.h"
#include "picker/picker.h"

namespace llmd::picker {

using Scores = std::vector<double>;
using HeaderMap = std::map<std::string, std::string>;

struct Headers {
  HeaderMap values;
  std::optional<std::string_view> find(std::string_view name) const {
    const auto found = values.find(std::string(name));
    return found == values.end() ? std::nullopt : std::optional<std::string_view>(found->second);
  }
};

// Endpoints e0, e1, … with the numbers of a scrape that just happened.
struct Pool {
  explicit Pool(std::string_view plugins, std::size_t count, std::map<std::string, std::string> labels = {}) {
    auto made = Picker::from_config(plugins, "test.yaml", {.load = {.allow_experimental = true, .seed = 7}});
    EXPECT_TRUE(made) << made.error().text();
    picker = std::move(*made);
    std::vector<Endpoint> endpoints;
    for (std::size_t i = 0; i < count; ++i) {
      endpoints.push_back({.address = {"10.0.0." + std::to_string(i), 8000},
                           .name = "e" + std::to_string(i),
                           .labels = labels});
    }
    set(std::move(endpoints));
  }
  void set(std::vector<Endpoint> endpoints) { picker->update(std::move(endpoints)); }
  void report(std::size_t i, EngineReport report) {
    picker->endpoints()->endpoints[i]->report(report, std::chrono::steady_clock::now());
  }
  std::string pick(const Request& request = {}) {
    const auto decision = picker->pick(request);
    return decision ? decision->endpoint().name : std::to_string(decision.error().status);
  }
  // What a scorer gave to each endpoint in the last decision.
  Scores scores(std::string_view scorer, const Request& request = {}) {
    const auto decision = picker->pick(request);
    EXPECT_TRUE(decision) << decision.error().message;
    const json::Value last = picker->explain_last(1);
    Scores found;
    const auto* endpoints = json::array_at(last, "[0].profiles[0].endpoints");
    for (const json::Value& endpoint : *endpoints) {
      found.push_back(json::double_at(endpoint, "scores[" + std::string(scorer) + "]").value_or(-1));
    }
    return found;
  }
  std::unique_ptr<Picker> picker;
};

inline ::testing::Matcher<const Scores&> are(std::initializer_list<double> values) {
  std::vector<::testing::Matcher<double>> all;
  for (const double value : values) {
    all.push_back(::testing::DoubleNear(value, 1e-5));
  }
  return ::testing::ElementsAreArray(all);
}

inline std::string only(std::string_view type, std::string_view parameters = "{}") {
  return "plugins: [{type: " + std::string(type) + ", parameters: " + std::string(parameters) + "}]\n";
}

inline Endpoint labelled(std::string name, std::map<std::string, std::string> labels) {
  return {.address = {name, 8000}, .name = name, .labels = std::move(labels)};
}

// Names of the endpoints that the filters of the first profile left, in order.
inline std::string left(Pool& pool, const Request& request = {}) {
  if (!pool.picker->pick(request)) {
    return "nobody";
  }
  const json::Value last = pool.picker->explain_last(1);
  std::string names;
  for (const json::Value& endpoint : *json::array_at(last, "[0].profiles[0].endpoints")) {
    const std::string_view full = *json::string_at(endpoint, "name");
    names += (names.empty() ? "" : " ") + std::string(full.substr(full.find('/') + 1));
  }
  return names;
}

struct Prompt {
  explicit Prompt(std::size_t blocks, std::uint64_t seed = 1) : units(blocks * 4) {
    std::iota(units.begin(), units.end(), seed * 100'000);
  }
  Request request() const {
    return {.id = "r", .model = "m", .prompt_bytes = units.size() * 64, .prompt_units = units};
  }
  std::vector<std::uint64_t> units;
};

// Tells the prefix index that `endpoint` has seen the prompt.
inline void warm(Pool& pool, const Prompt& prompt, std::size_t endpoint) {
  const auto all = pool.picker->endpoints()->endpoints;
  std::vector<EndpointPtr> others;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i != endpoint) {
      others.push_back(all[i]);
    }
  }
  ASSERT_TRUE(pool.picker->pick(prompt.request(), others));
}

}  // namespace llmd::picker
