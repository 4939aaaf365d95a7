#include "picker/metrics/plugin_times.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "picker/metrics/buckets.h"
#include "picker/plan.h"
#include "picker/plugins/parsers.h"

namespace llmd::picker {
namespace {

constexpr std::array kPoints = {
    "Screener", "DataProducer", "Admission",        "ProfilePicker",     "Filter",         "Scorer",
    "Picker",   "PreRequest",   "ResponseReceived", "ResponseStreaming", "RequestParsing", "ResponseParsing"};

}  // namespace

// One plugin at one extension point.
struct PluginTimes::Slot {
  Slot(Point at, const Plugin& measured) : point(at), plugin(measured) {}
  Point point;
  const Plugin& plugin;
  std::array<std::atomic<std::uint64_t>, buckets::kDecisionSeconds.size() + 1> counts{};
  std::atomic<double> sum{0};
};

PluginTimes::PluginTimes(const Plan& plan) {
  const auto each = [this](Point point, const auto& plugins) {
    for (const auto* plugin : plugins) {
      const bool known = std::ranges::any_of(slots_, [&](const auto& slot) {
        return slot->point == point && &slot->plugin == static_cast<const Plugin*>(plugin);
      });
      if (!known) {
        slots_.push_back(std::make_unique<Slot>(point, *plugin));
      }
    }
  };
  each(Point::Screener, plan.screeners);
  each(Point::DataProducer, plan.producers);
  each(Point::Admission, plan.admitters);
  each(Point::ProfilePicker, std::array{plan.handler});
  for (const Profile& profile : plan.profiles) {
    each(Point::Filter, profile.filters);
    for (const WeightedScorer& weighted : profile.scorers) {
      each(Point::Scorer, std::array{weighted.scorer});
    }
    each(Point::Picker, std::array{profile.picker});
  }
  for (const Point point : {Point::PreRequest, Point::ResponseReceived, Point::ResponseStreaming}) {
    each(point, plan.hooks);
  }
  parsers_ = plan.parsers;
  each(Point::RequestParsing, parsers_);
  each(Point::ResponseParsing, parsers_);
}

void PluginTimes::parsed(Point point, std::string_view path, Duration took, std::uint64_t weight) const {
  if (const Parser* parser = parser_for(parsers_, path)) {
    add(point, *parser, took, weight);
  }
}

PluginTimes::~PluginTimes() = default;

void PluginTimes::add(Point point, const Plugin& plugin, Duration took, std::uint64_t weight) const {
  for (const auto& slot : slots_) {
    if (slot->point == point && &slot->plugin == &plugin) {
      const double seconds = std::chrono::duration<double>(took).count();
      const auto bucket = std::ranges::lower_bound(buckets::kDecisionSeconds, seconds);
      const auto at = static_cast<std::size_t>(bucket - buckets::kDecisionSeconds.begin());
      slot->counts[at].fetch_add(weight, std::memory_order_relaxed);
      slot->sum.fetch_add(seconds * static_cast<double>(weight), std::memory_order_relaxed);
      return;
    }
  }
}

void PluginTimes::write(Page& page) const {
  for (const auto& slot : slots_) {
    metrics::Histogram::Snapshot snapshot{.sum = slot->sum.load(std::memory_order_relaxed)};
    std::uint64_t below = 0;
    for (const auto& count : slot->counts) {
      below += count.load(std::memory_order_relaxed);
      snapshot.cumulative.push_back(below);
    }
    for (const std::string_view name :
         {"llm_d_epp_plugin_duration_seconds", "inference_extension_plugin_duration_seconds"}) {
      page.histogram(name, "Time a plugin takes; one decision of 16 is measured and counts 16 times.",
                     {{"extension_point", kPoints[static_cast<std::size_t>(slot->point)]},
                      {"plugin_type", slot->plugin.type},
                      {"plugin_name", slot->plugin.name}},
                     buckets::kDecisionSeconds, snapshot);
    }
  }
}

}  // namespace llmd::picker
