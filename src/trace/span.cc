#include "trace/span.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "crypto/random.h"

namespace llmd::trace {
namespace {

// Ids need to be unique, not secret: one generator per thread, seeded by the system (splitmix64).
std::uint64_t random_id() {
  thread_local std::uint64_t state = [] {
    std::uint64_t seed = 0;
    std::memcpy(&seed, crypto::random_bytes(sizeof seed).data(), sizeof seed);
    return seed;
  }();
  std::uint64_t id = 0;
  while (id == 0) {
    id = state += 0x9e3779b97f4a7c15ULL;
    id = (id ^ (id >> 30)) * 0xbf58476d1ce4e5b9ULL;
    id = (id ^ (id >> 27)) * 0x94d049bb133111ebULL;
    id ^= id >> 31;
  }
  return id;
}

std::uint64_t nanoseconds(const Clock& clock) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(clock.wall_now().time_since_epoch()).count());
}

}  // namespace

Tracer::Tracer(Options options, SpanSink& sink, const Clock& clock)
    : ratio_(std::clamp(options.ratio, 0.0, 1.0)), sink_(sink), clock_(clock) {}

// As the OpenTelemetry libraries decide it: the low 63 bits of the id against the ratio.
bool Tracer::samples(const TraceId& trace) const {
  return static_cast<double>(trace.low >> 1) < ratio_ * 0x1p63;
}

Span Tracer::start(std::string_view name, const std::optional<TraceContext>& parent, SpanKind kind) const {
  Span span;
  span.context_.trace = parent ? parent->trace : TraceId{random_id(), random_id()};
  span.context_.span = random_id();
  span.context_.sampled = parent ? parent->sampled : samples(span.context_.trace);
  if (span.context_.sampled) {
    FinishedSpan recorded{.context = span.context_,
                          .parent = parent ? parent->span : 0,
                          .name = std::string(name),
                          .kind = kind,
                          .start_nanoseconds = nanoseconds(clock_)};
    span.recorded_.reset(new Span::Recorded{std::move(recorded), clock_, sink_});
  }
  return span;
}

void Span::add(std::string_view key, AttributeValue value) {
  if (!recorded_) {
    return;
  }
  auto& attributes = recorded_->span.attributes;
  const auto same = std::ranges::find(attributes, key, &Attribute::key);
  if (same != attributes.end()) {
    same->value = std::move(value);
  } else if (attributes.size() < kMaxAttributes) {
    attributes.push_back({std::string(key), std::move(value)});
  } else {
    ++recorded_->span.dropped_attributes;
  }
}

void Span::fail(std::string_view reason) {
  if (recorded_) {
    recorded_->span.error = reason;
  }
}

void Span::end() {
  if (recorded_) {
    const auto recorded = std::move(recorded_);
    recorded->span.end_nanoseconds = nanoseconds(recorded->clock);
    recorded->sink.take(std::move(recorded->span));
  }
}

}  // namespace llmd::trace
