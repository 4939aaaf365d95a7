// The spans that a decision adds to a request's trace, under names of llm-d's picker:
//
//   flow_control_wait            until there is room (ours: llm-d makes no span of it)
//   produce_mm_embeddings_cache  of images, videos and sounds
//   produce_precise_prefix_cache
//     score_tokens               with index_lookup and compute_scores
//   pick_disagg_profile          or pick_pd_profile: which stages, beside the profiles that run for it
//   run_scheduler_profile        each profile that runs
//     filter_endpoints
//     llm_d.epp.scoring          with one llm_d.epp.scorer.TYPE for each scorer
//     pick_endpoints
//   score_prefix_cache           precise-prefix-cache-scorer
//   prepare_disaggregation       the headers that name the other stages
//   index_add                    what was routed is expected to be cached there (speculativeIndexing)
//
// What engines tell belongs to no request; each message is a trace of its own (PickerOptions::tracer):
//
//   index_add                    blocks that an engine has stored
//   index_evict                  blocks that it has given up
//
// A request that is not sampled has no SpanParent: nothing is looked at or allocated for it.
#pragma once

#include <string_view>

#include "trace/span.h"

namespace llmd::picker {

// Where the spans of one decision belong. The tracer outlives the decision.
struct SpanParent {
  const trace::Tracer& tracer;
  trace::TraceContext context;
};

// Null: a span that does nothing.
inline trace::Span begin_span(const SpanParent* parent, std::string_view name) {
  return parent == nullptr ? trace::Span() : parent->tracer.start(name, parent->context);
}
inline trace::Span begin_span(const SpanParent* parent, std::string_view name, const trace::Span& above) {
  return parent == nullptr ? trace::Span() : parent->tracer.start(name, above.context());
}

}  // namespace llmd::picker
