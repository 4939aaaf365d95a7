// The spans that a decision adds to a request's trace, under names of llm-d's picker:
//
//   flow_control_wait            until there is room (ours: llm-d makes no span of it)
//   run_scheduler_profile        each profile that runs
//     filter_endpoints
//     llm_d.epp.scoring          with one llm_d.epp.scorer.TYPE for each scorer
//     pick_endpoints
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
