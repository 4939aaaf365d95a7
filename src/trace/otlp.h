// Spans as OTLP/HTTP wants them in JSON (opentelemetry-proto, ExportTraceServiceRequest). Pure.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "trace/span.h"

namespace llmd::trace {

// What the spans are about: service.name and further resource attributes.
struct Resource {
  std::string service;
  std::vector<std::pair<std::string, std::string>> attributes;
  std::string version = {};  // of the program that makes the spans: of their scope; empty: not said
};

std::string to_otlp_json(const Resource& resource, std::span<const FinishedSpan> spans);

}  // namespace llmd::trace
