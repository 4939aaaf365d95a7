#include "trace/otlp.h"

#include "json/value.h"

namespace llmd::trace {
namespace {

json::Value any_value(const AttributeValue& value) {
  json::Object any;
  if (const auto* const flag = std::get_if<bool>(&value)) {
    any["boolValue"] = *flag;
  } else if (const auto* const integer = std::get_if<std::int64_t>(&value)) {
    any["intValue"] = std::to_string(*integer);  // 64-bit integers are text in protobuf's JSON
  } else if (const auto* const number = std::get_if<double>(&value)) {
    any["doubleValue"] = *number;
  } else {
    any["stringValue"] = std::get<std::string>(value);
  }
  return any;
}

json::Value key_value(std::string_view key, const AttributeValue& value) {
  json::Object pair;
  pair["key"] = key;
  pair["value"] = any_value(value);
  return pair;
}

json::Value span_value(const FinishedSpan& span) {
  json::Object object;
  object["traceId"] = to_hex(span.context.trace);
  object["spanId"] = to_hex(span.context.span);
  if (span.parent != 0) {
    object["parentSpanId"] = to_hex(span.parent);
  }
  object["name"] = span.name;
  object["kind"] = static_cast<int>(span.kind);
  object["startTimeUnixNano"] = std::to_string(span.start_nanoseconds);
  object["endTimeUnixNano"] = std::to_string(span.end_nanoseconds);
  json::Array attributes;
  for (const Attribute& attribute : span.attributes) {
    attributes.push_back(key_value(attribute.key, attribute.value));
  }
  object["attributes"] = std::move(attributes);
  if (span.dropped_attributes > 0) {
    object["droppedAttributesCount"] = span.dropped_attributes;
  }
  if (span.error) {
    json::Object status;
    status["code"] = 2;  // STATUS_CODE_ERROR
    status["message"] = *span.error;
    object["status"] = std::move(status);
  }
  return object;
}

}  // namespace

std::string to_otlp_json(const Resource& resource, std::span<const FinishedSpan> spans) {
  json::Array attributes;
  attributes.push_back(key_value("service.name", resource.service));
  for (const auto& [key, value] : resource.attributes) {
    attributes.push_back(key_value(key, value));
  }
  json::Array list;
  for (const FinishedSpan& span : spans) {
    list.push_back(span_value(span));
  }
  json::Object scope_spans;
  json::Object& scope = scope_spans["scope"].emplace_object();
  scope["name"] = "llmd";
  if (!resource.version.empty()) {
    scope["version"] = resource.version;
  }
  scope_spans["spans"] = std::move(list);
  json::Object resource_spans;
  resource_spans["resource"] = json::Object{{"attributes", std::move(attributes)}};
  resource_spans["scopeSpans"] = json::Array(1, json::Value(std::move(scope_spans)));
  json::Object request;
  request["resourceSpans"] = json::Array(1, json::Value(std::move(resource_spans)));
  return json::write(json::Value(std::move(request)));
}

}  // namespace llmd::trace
