// Tracing as OpenTelemetry's environment variables describe it:
//
//   OTEL_TRACES_EXPORTER          otlp, console (spans into the log) or none
//   OTEL_EXPORTER_OTLP_ENDPOINT   http://localhost:4318; OTEL_EXPORTER_OTLP_TRACES_ENDPOINT goes before it
//   OTEL_TRACES_SAMPLER           always_on, always_off, traceidratio, each also as parentbased_…
//   OTEL_TRACES_SAMPLER_ARG       the ratio, 0.1
//   OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES   key=value,key=value
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "trace/exporter.h"

namespace llmd::trace {

struct TraceSettings {
  enum class Exporter { None, Console, Otlp };
  Exporter exporter = Exporter::None;
  OtlpTarget target;
  Resource resource;
  double ratio = 0.1;
};

// `variable` gives a variable's value, nullopt when it is not set. InvalidArgument names the variable.
Result<TraceSettings> trace_settings(
    const std::function<std::optional<std::string>(std::string_view name)>& variable,
    std::string_view default_service,
    TraceSettings::Exporter default_exporter = TraceSettings::Exporter::None);

// Writes each span as one log line.
class ConsoleSink final : public SpanSink {
 public:
  void take(FinishedSpan span) override;
};

}  // namespace llmd::trace
