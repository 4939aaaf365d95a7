#include "picker/plugins/encoder_cache.h"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>

#include "picker/dumped_endpoints.h"
#include "picker/metrics/buckets.h"
#include "picker/metrics/page.h"
#include "picker/metrics/tally.h"
#include "picker/spans.h"

namespace llmd::picker {
namespace {

using openai::MediaItem;

class EncoderCacheProducer final : public Producer,
                                   public RequestHook,
                                   public EndpointWatcher,
                                   public Inspectable,
                                   public Measured {
 public:
  EncoderCacheProducer(std::size_t capacity, Column share) : capacity_(capacity), share_(share) {}

  // The share of a request's items that an endpoint has encoded, by the tokens they become.
  void produce(Cycle& cycle) const override {
    const auto media = cycle.request().media;
    double total = 0;
    for (const MediaItem& item : media) {
      total += weight(item);
    }
    if (media.empty()) {
      return;
    }
    trace::Span span = begin_span(cycle.spans(), "produce_mm_embeddings_cache");
    bool any = false;
    const auto share = cycle.fill(share_);
    const std::lock_guard lock(mutex_);
    for (const Row row : cycle.candidates()) {
      const EndpointState& endpoint = cycle.endpoint(row);
      const auto found = caches_.find(endpoint.full_name);
      const bool known = found != caches_.end() && found->second.owner == endpoint.id;
      double matched = 0;
      for (const MediaItem& item : media) {
        matched += known && found->second.used.contains(item.hash) ? weight(item) : 0;
      }
      share[row] = static_cast<float>(matched / total);
      any = any || matched > 0;
    }
    if (span.sampled()) {
      describe(span, media, any);
    }
  }

  void dispatched(const Cycle& cycle, const Stages& stages, Decision&) const override {
    if (cycle.request().media.empty()) {
      return;
    }
    const std::lock_guard lock(mutex_);
    const EndpointState& endpoint = cycle.endpoint(stages.primary.front());
    Cache& cache = caches_[endpoint.full_name];
    if (cache.owner != endpoint.id) {
      cache = Cache{.owner = endpoint.id};
    }
    std::uint64_t hits = 0;
    for (const MediaItem& item : cycle.request().media) {
      const bool hit = cache.used.contains(item.hash);
      Counts& counts = counts_[static_cast<std::size_t>(item.modality)];
      ++counts.queries;
      counts.hits += hit ? 1 : 0;
      hits += hit ? 1 : 0;
      cache.touch(item.hash, capacity_);
    }
    ratios_.observe(static_cast<double>(hits) / static_cast<double>(cycle.request().media.size()));
  }

  void write(Page& page) const override {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      const LabelText kind{{"modality", name_of(static_cast<openai::Modality>(i))}};
      page.counter("llm_d_epp_encoder_cache_queries_total", "Items that were looked up.", kind,
                   static_cast<double>(counts_[i].queries));
      page.counter("llm_d_epp_encoder_cache_hits_total",
                   "Of these, items that the chosen endpoint has encoded.", kind,
                   static_cast<double>(counts_[i].hits));
    }
    metrics::Histogram::Snapshot ratios;
    ratios_.add_to(ratios);
    page.histogram("llm_d_epp_encoder_cache_hit_ratio", "Share of a request's items.", {}, buckets::kRatios,
                   std::move(ratios));
  }

  void endpoints_changed(const EndpointSnapshot& snapshot) const override {
    const std::lock_guard lock(mutex_);
    std::erase_if(caches_, [&](const auto& entry) {
      return std::ranges::none_of(snapshot.endpoints, [&](const EndpointPtr& endpoint) {
        return endpoint->full_name == entry.first && endpoint->id == entry.second.owner;
      });
    });
  }

  json::Value state() const override {
    const std::lock_guard lock(mutex_);
    json::Object items;
    for (const auto& [endpoint, cache] : caches_) {
      if (items.size() < kMostDumped) {
        items[endpoint] = cache.used.size();
      }
    }
    return json::Value{{"capacity", capacity_}, {"items", std::move(items)}};
  }

 private:
  // `hit`: some endpoint has encoded some of it.
  static void describe(trace::Span& span, std::span<const MediaItem> media, bool hit) {
    std::string kinds;
    for (const MediaItem& item : media) {
      const std::string_view kind = name_of(item.modality);
      if (kinds.find(kind) == std::string::npos) {
        kinds += (kinds.empty() ? "" : ",") + std::string(kind);
      }
    }
    span.set("mm.modality", kinds);
    span.set("mm.hash_count", media.size());
    span.set("mm.hit", hit);
  }

  struct Cache {
    std::uint32_t owner = 0;                           // the endpoint's number: another one may have its name
    std::map<std::uint64_t, std::uint64_t> used = {};  // item: tick
    std::map<std::uint64_t, std::uint64_t> order = {};  // tick: item
    std::uint64_t clock = 0;

    void touch(std::uint64_t item, std::size_t capacity) {
      if (const auto known = used.find(item); known != used.end()) {
        order.erase(known->second);
      }
      used[item] = ++clock;
      order[clock] = item;
      if (used.size() > capacity) {
        used.erase(order.begin()->second);
        order.erase(order.begin());
      }
    }
  };
  struct Counts {
    std::uint64_t queries = 0;
    std::uint64_t hits = 0;
  };

  static double weight(const MediaItem& item) {
    return static_cast<double>(std::max<std::int64_t>(item.tokens, 1));
  }

  const std::size_t capacity_;
  const Column share_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, Cache, std::less<>> caches_;
  mutable std::array<Counts, openai::kModalities> counts_{};
  mutable Distribution ratios_{buckets::kRatios};
};

class EncoderCacheScorer final : public Scorer {
 public:
  explicit EncoderCacheScorer(Column share) : share_(share) {}
  void score(const Cycle& cycle, std::span<const Row> rows, std::span<double> scores) const override {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      scores[i] = cycle.at(share_, rows[i]);
    }
  }

 private:
  const Column share_;
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_mm_embeddings_producer(PluginSetup& setup) {
  std::int64_t megabytes = 4096;
  setup.parameters.read("cacheSizeInMBPerServer", megabytes, "cacheSizeInMB");
  megabytes = megabytes > 0 ? megabytes : 4096;
  setup.provide("mm");
  return std::make_unique<EncoderCacheProducer>(
      static_cast<std::size_t>(std::max<std::int64_t>(megabytes / 2, 1)),
      setup.names().column(fmt::format("mm/{}", setup.plugin_name)));
}

Result<std::unique_ptr<Plugin>> make_mm_embeddings_scorer(PluginSetup& setup) {
  std::string producer;
  setup.parameters.read("producerName", producer);
  producer = producer.empty() ? "mm-embeddings-cache-producer" : producer;
  setup.require("mm", producer, nullptr);
  return std::make_unique<EncoderCacheScorer>(setup.names().column("mm/" + producer));
}

}  // namespace llmd::picker
