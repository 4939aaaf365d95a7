// Spans: named stretches of time inside a trace.
//
//   Tracer tracer({.ratio = 0.1}, exporter);
//   Span span = tracer.start("pick", parse_traceparent(header), Span::Kind::Server);
//   span.set("llm_d.candidates", 8);
//   headers.set(kTraceparent, format_traceparent(span.context()));
//   …                                                         // the destructor ends it
//
// Sampling is parentbased_traceidratio: what the parent decided holds; a new trace is sampled when its id
// says so (the same id gives the same answer in every process). A span that is not sampled has a context to
// pass on and costs nothing else: no clock, no memory; set() and fail() do nothing.
//
// Threads: a Tracer is used by all; a Span by one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "trace/context.h"

namespace llmd::trace {

using AttributeValue = std::variant<bool, std::int64_t, double, std::string>;
struct Attribute {
  std::string key;
  AttributeValue value;
};

enum class SpanKind { Internal = 1, Server = 2, Client = 3, Producer = 4, Consumer = 5 };  // OTLP's numbers

struct FinishedSpan {
  TraceContext context;
  std::uint64_t parent = 0;  // 0: the trace begins here
  std::string name;
  SpanKind kind = SpanKind::Internal;
  std::uint64_t start_nanoseconds = 0;  // since the epoch
  std::uint64_t end_nanoseconds = 0;
  std::vector<Attribute> attributes;
  std::uint32_t dropped_attributes = 0;
  std::optional<std::string> error;  // why it failed; may be empty
};

// Takes finished spans: any thread, never waits.
class SpanSink {
 public:
  virtual ~SpanSink() = default;
  virtual void take(FinishedSpan span) = 0;
};

inline constexpr std::size_t kMaxAttributes = 128;  // of a span; more are counted and dropped

class Span {
 public:
  Span() = default;  // not sampled, no context
  Span(Span&&) noexcept = default;
  Span& operator=(Span&& other) noexcept {
    end();
    context_ = other.context_;
    recorded_ = std::move(other.recorded_);
    return *this;
  }
  ~Span() { end(); }

  // What to pass on to whoever works for this span.
  const TraceContext& context() const { return context_; }
  bool sampled() const { return recorded_ != nullptr; }
  void set(std::string_view key, std::string_view value) { add(key, std::string(value)); }
  void set(std::string_view key, const char* value) { set(key, std::string_view(value)); }
  void set(std::string_view key, bool value) { add(key, value); }
  void set(std::string_view key, double value) { add(key, value); }
  template <typename Integer>
    requires std::is_integral_v<Integer>
  void set(std::string_view key, Integer value) {
    add(key, static_cast<std::int64_t>(value));
  }
  void fail(std::string_view reason);
  void end();  // idempotent

 private:
  friend class Tracer;
  struct Recorded {
    FinishedSpan span;
    const Clock& clock;
    SpanSink& sink;
  };
  void add(std::string_view key, AttributeValue value);

  TraceContext context_;
  std::unique_ptr<Recorded> recorded_;
};

class Tracer {
 public:
  struct Options {
    double ratio = 0.1;  // of new traces
  };

  // The sink must outlive the spans.
  Tracer(Options options, SpanSink& sink, const Clock& clock = system_clock());

  Span start(std::string_view name, const std::optional<TraceContext>& parent = std::nullopt,
             SpanKind kind = SpanKind::Internal) const;

 private:
  bool samples(const TraceId& trace) const;

  double ratio_;
  SpanSink& sink_;
  const Clock& clock_;
};

}  // namespace llmd::trace
