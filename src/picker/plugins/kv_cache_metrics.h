// The numbers of a precise prefix index on /metrics, under llm-d's names of both eras. Private to picker.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kvcache/kv_follower.h"
#include "kvcache/kv_index.h"
#include "picker/metrics/page.h"

namespace llmd::picker {

struct KvLookups {
  std::uint64_t requests = 0;
  std::uint64_t hits = 0;  // blocks of the best match, summed
};
void write_kv_index(Page& page, const kvcache::KvIndex::Stats& stats, const KvLookups& lookups);

// `engines`: names of the followed endpoints with their addresses. What comes through the socket that engines
// connect to is counted under that socket's own address.
void write_kv_events(Page& page, const kvcache::KvFollower& follower,
                     const std::vector<std::pair<std::string, std::string>>& engines);

}  // namespace llmd::picker
