#include "picker/plugins/kv_cache_metrics.h"

namespace llmd::picker {
namespace {

using kvcache::SourceStats;

// The older names of numbers that had no labels then.
void count(Page& page, std::string_view current, std::string_view older, std::string_view help,
           std::uint64_t value) {
  for (const std::string_view name : {current, older}) {
    page.counter(name, help, {}, static_cast<double>(value));
  }
}

struct PodCounter {
  std::string_view name;
  std::string_view older_name;
  std::string_view help;
  std::uint64_t SourceStats::* number;
};
constexpr PodCounter kPodCounters[] = {
    {"llm_d_epp_kv_cache_events_subscriber_reconnections_total",
     "kvcache_kvevents_subscriber_reconnections_total", "Connections that were made again.",
     &SourceStats::reconnections},
    {"llm_d_epp_kv_cache_events_messages_received_total", "kvcache_kvevents_messages_received_total",
     "Batches of events.", &SourceStats::batches},
};

void write_source(Page& page, std::string_view pod, const SourceStats& stats) {
  for (const PodCounter& counter : kPodCounters) {
    for (const std::string_view name : {counter.name, counter.older_name}) {
      page.counter(name, counter.help, {{"pod_identifier", pod}}, static_cast<double>(stats.*counter.number));
    }
  }
  for (const std::string_view name :
       {"llm_d_epp_kv_cache_events_zmq_errors_total", "kvcache_kvevents_zmq_errors_total"}) {
    page.counter(name, "Messages that cannot be read.", {{"pod_identifier", pod}, {"operation", "recv"}},
                 static_cast<double>(stats.malformed));
  }
}

}  // namespace

void write_kv_index(Page& page, const kvcache::KvIndex::Stats& stats, const KvLookups& lookups) {
  count(page, "llm_d_epp_kv_cache_index_admissions_total", "kvcache_index_admissions_total",
        "Blocks that engines reported.", stats.stored);
  count(page, "llm_d_epp_kv_cache_index_evictions_total", "kvcache_index_evictions_total",
        "Blocks that engines gave up.", stats.removed);
  count(page, "llm_d_epp_kv_cache_index_lookup_requests_total", "kvcache_index_lookup_requests_total",
        "Prompts that were looked up.", lookups.requests);
  count(page, "llm_d_epp_kv_cache_index_lookup_hits_total", "kvcache_index_lookup_hits_total",
        "Blocks of the best match.", lookups.hits);
  count(page, "llm_d_epp_kv_cache_index_max_pod_hit_count_total", "kvcache_index_max_pod_hit_count_total",
        "Blocks of the best match.", lookups.hits);
  count(page, "llm_d_epp_kv_cache_events_dedup_removed_hashes_suppressed_total",
        "kvcache_kvevents_dedup_removed_hashes_suppressed_total",
        "Removals of blocks that the engine still has, because it stored them twice.",
        stats.suppressed_removals);
  count(page, "llm_d_epp_kv_cache_events_dedup_removed_hashes_forwarded_total",
        "kvcache_kvevents_dedup_removed_hashes_forwarded_total", "All other removals of blocks.",
        stats.forwarded_removals);
  constexpr std::string_view kStores = "llm_d_epp_kv_cache_events_stores_skipped_total";
  constexpr std::string_view kRemovals = "llm_d_epp_kv_cache_events_removals_skipped_total";
  page.announce(kStores, "Stores that say nothing about prefixes.", metrics::Type::Counter);
  page.announce(kRemovals, "Removals that say nothing about prefixes.", metrics::Type::Counter);
  for (const kvcache::SkippedEvents& skipped : stats.skipped) {
    const LabelText labels{{"cache_kind", skipped.cache_kind}, {"reason", skipped.reason}};
    if (skipped.stores > 0) {
      page.counter(kStores, "", labels, static_cast<double>(skipped.stores));
    }
    if (skipped.removals > 0) {
      page.counter(kRemovals, "", labels, static_cast<double>(skipped.removals));
    }
  }
}

void write_kv_events(Page& page, const kvcache::KvFollower& follower,
                     const std::vector<std::pair<std::string, std::string>>& engines) {
  const auto total = follower.stats();
  for (const std::string_view name :
       {"llm_d_epp_kv_cache_events_active_subscribers", "kvcache_kvevents_active_subscribers"}) {
    page.gauge(name, "Engines whose events are followed.", {}, static_cast<double>(total.subscriptions));
  }
  page.gauge("llm_d_epp_kv_cache_events_pool_capacity", "Threads that apply events.", {}, 1);
  page.gauge("llm_d_epp_kv_cache_events_pool_queue_depth",
             "Batches that were read and are being applied; what waits in sockets is not seen.", {},
             static_cast<double>(total.in_hand));
  for (const auto& [name, address] : engines) {
    if (const auto stats = follower.stats_of(address)) {
      write_source(page, name, *stats);
    }
  }
  if (const std::string central = follower.central_endpoint(); !central.empty()) {
    write_source(page, central, follower.central_stats());
  }
}

}  // namespace llmd::picker
