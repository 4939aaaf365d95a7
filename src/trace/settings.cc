#include "trace/settings.h"

#include <algorithm>
#include <array>

#include "base/log.h"
#include "base/strings.h"
#include "http/message.h"

namespace llmd::trace {
namespace {

using Exporter = TraceSettings::Exporter;
using Variable = std::function<std::optional<std::string>(std::string_view)>;

Result<Exporter> parse_exporter(std::string_view name) {
  constexpr std::array<std::string_view, 3> kNames{"none", "console", "otlp"};  // in the order of Exporter
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) {
    return invalid_argument("OTEL_TRACES_EXPORTER: '{}' is unknown", name).hint(did_you_mean(name, kNames));
  }
  return static_cast<Exporter>(found - kNames.begin());
}

// Every sampler here follows its parent: a trace with holes helps nobody.
Result<double> parse_sampler(const Variable& variable) {
  constexpr std::string_view kParentBased = "parentbased_";
  const std::string name = variable("OTEL_TRACES_SAMPLER").value_or("parentbased_traceidratio");
  std::string_view kind = name;
  kind.remove_prefix(kind.starts_with(kParentBased) ? kParentBased.size() : 0);
  if (kind == "always_on") {
    return 1.0;
  }
  if (kind == "always_off") {
    return 0.0;
  }
  if (kind != "traceidratio") {
    return invalid_argument("OTEL_TRACES_SAMPLER: '{}' is unknown", name)
        .hint("parentbased_traceidratio is usual");
  }
  const std::string text = variable("OTEL_TRACES_SAMPLER_ARG").value_or("0.1");
  const auto ratio = parse_number(text);
  if (!ratio || !(*ratio >= 0 && *ratio <= 1)) {
    return invalid_argument("OTEL_TRACES_SAMPLER_ARG: '{}' is not between 0 and 1", text);
  }
  return *ratio;
}

Result<Resource> parse_resource(const Variable& variable, std::string_view default_service) {
  Resource resource{.service = std::string(default_service)};
  const std::string text = variable("OTEL_RESOURCE_ATTRIBUTES").value_or("");
  for (const std::string_view piece : split(text, ',')) {
    if (trim(piece).empty()) {
      continue;
    }
    const std::size_t equals = piece.find('=');
    if (equals == std::string_view::npos) {
      return invalid_argument("OTEL_RESOURCE_ATTRIBUTES: '{}' is not key=value", piece);
    }
    const std::string key(trim(piece.substr(0, equals)));
    std::string value = http::percent_decode(trim(piece.substr(equals + 1)));
    if (key == "service.name") {
      resource.service = std::move(value);
    } else {
      resource.attributes.emplace_back(key, std::move(value));
    }
  }
  resource.service = variable("OTEL_SERVICE_NAME").value_or(resource.service);
  return resource;
}

}  // namespace

Result<TraceSettings> trace_settings(const Variable& variable, std::string_view default_service,
                                     Exporter default_exporter) {
  TraceSettings settings{.exporter = default_exporter};
  if (const auto name = variable("OTEL_TRACES_EXPORTER")) {
    LLMD_TRY(settings.exporter, parse_exporter(*name));
  }
  LLMD_TRY(settings.ratio, parse_sampler(variable));
  LLMD_TRY(settings.resource, parse_resource(variable, default_service));
  std::string endpoint = variable("OTEL_EXPORTER_OTLP_ENDPOINT").value_or("http://localhost:4318");
  endpoint = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").value_or(endpoint);
  LLMD_TRY(settings.target, parse_otlp_endpoint(endpoint));
  return settings;
}

void ConsoleSink::take(FinishedSpan span) {
  const double milliseconds = static_cast<double>(span.end_nanoseconds - span.start_nanoseconds) / 1e6;
  log::info("span", {{"name", span.name},
                     {"trace", to_hex(span.context.trace)},
                     {"span", to_hex(span.context.span)},
                     {"parent", span.parent == 0 ? std::string() : to_hex(span.parent)},
                     {"milliseconds", milliseconds},
                     {"error", span.error.value_or("")}});
}

}  // namespace llmd::trace
