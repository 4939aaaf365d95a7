#include "picker/plugins/event_spans.h"

#include "trace/span.h"

namespace llmd::picker {
namespace {

// What one message of an engine did to the index.
struct BatchSpans {
  trace::Span add;
  trace::Span evict;
};

}  // namespace

EventWatch event_spans(const trace::Tracer* tracer) {
  if (tracer == nullptr) {
    return nullptr;
  }
  return [tracer](std::string_view address, const kvcache::EventBatch& batch) -> std::shared_ptr<void> {
    std::size_t stored = 0;
    std::size_t removed = 0;
    bool clears = false;
    for (const kvcache::KvEvent& event : batch.events) {
      if (const auto* store = std::get_if<kvcache::BlockStored>(&event)) {
        stored += store->hashes.size();
      } else if (const auto* removal = std::get_if<kvcache::BlockRemoved>(&event)) {
        removed += removal->hashes.size();
      } else {
        clears = true;
      }
    }
    auto spans = std::make_shared<BatchSpans>();
    const auto begin = [&](trace::Span& span, std::string_view name, std::size_t blocks) {
      span = tracer->start(name);
      span.set("llm_d.kv_cache.endpoint", address);
      span.set("llm_d.kv_cache.blocks", blocks);
    };
    if (stored > 0) {
      begin(spans->add, "index_add", stored);
    }
    if (removed > 0 || clears) {
      begin(spans->evict, "index_evict", removed);
      spans->evict.set("llm_d.kv_cache.cleared", clears);
    }
    return spans;
  };
}

}  // namespace llmd::picker
