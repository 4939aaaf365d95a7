// Tracing of a process that serves: its tracer, and where its spans go, as TraceSettings say.
//
//   LLMD_TRY(const auto settings, trace_settings(process_environment, "llmd-gateway"));
//   LLMD_TRY(const auto tracing, Tracing::create(loop, settings));
//   scope.spawn("spans", tracing->run());
//   co_await tracing->finish(async::Deadline::after(std::chrono::seconds(2)));   // when run() has ended
//
// Threads: tracer() from any; the rest on the loop, which must live longer.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "trace/settings.h"

namespace llmd::trace {

// A variable of this process; nullopt when it is not set or empty, which OpenTelemetry takes for the same.
std::optional<std::string> process_environment(std::string_view name);

class Tracing {
 public:
  // Fails where the system's certificates, which a collector's https needs, cannot be read.
  static Result<std::unique_ptr<Tracing>> create(async::EventLoop& loop, TraceSettings settings);
  ~Tracing();

  // Null when no spans are wanted: nothing is looked at then, and clients' contexts pass as they came.
  const Tracer* tracer() const { return tracer_ ? &*tracer_ : nullptr; }
  // Exports until cancelled.
  Task<void> run();
  // Sends what is left.
  Task<void> finish(async::Deadline deadline);

 private:
  Tracing() = default;

  std::unique_ptr<SpanSink> sink_;
  OtlpExporter* exporter_ = nullptr;  // sink_, where that is one
  std::optional<Tracer> tracer_;
};

}  // namespace llmd::trace
