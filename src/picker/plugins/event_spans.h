// Spans of what engines tell of their caches (spans.h): index_add and index_evict, a trace for each message.
#pragma once

#include "kvcache/kv_follower.h"

namespace llmd::trace {
class Tracer;
}

namespace llmd::picker {

using EventWatch = decltype(kvcache::KvFollower::Options::watch);

// The tracer outlives what is returned. Null: nothing is watched.
EventWatch event_spans(const trace::Tracer* tracer);

}  // namespace llmd::picker
