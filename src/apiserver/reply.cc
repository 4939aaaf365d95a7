// Content negotiation and the way back to the client.
#include "apiserver/service.h"
#include "apiserver/table.h"
#include "base/strings.h"
#include "json/value.h"
#include "json/yaml.h"

namespace llmd::apiserver {

namespace {

http::ResponseHead head_of(int code, std::string_view type, const std::vector<std::string>& warnings) {
  http::ResponseHead head;
  head.status = code;
  head.headers.add("Content-Type", std::string(type));
  head.headers.add("Cache-Control", "no-cache, private");
  for (const std::string& warning : warnings) {
    head.headers.add("Warning", "299 - " + go_quoted(warning));
  }
  return head;
}

std::string_view parameter(const std::vector<std::string_view>& parts, std::string_view name) {
  for (const std::string_view part : parts) {
    const std::string_view text = trim(part);
    if (text.starts_with(name) && text.substr(name.size()).starts_with('=')) {
      return text.substr(name.size() + 1);
    }
  }
  return {};
}

boost::json::object success() {
  boost::json::object status{{"kind", "Status"}, {"apiVersion", "v1"}};
  status["metadata"].emplace_object();
  status["status"] = "Success";
  return status;
}

}  // namespace

Answer<Form> negotiate(std::string_view accept) {
  if (trim(accept).empty()) {
    return Form::Object;
  }
  for (const std::string_view choice : split(accept, ',')) {
    const std::vector<std::string_view> parts = split(choice, ';');
    const std::string_view type = trim(parts.front());
    const std::string_view as = parameter(parts, "as");
    const bool json = type == "application/json" || type == "*/*" || type == "application/*";
    if (json && as.empty()) {
      return Form::Object;
    }
    const std::string_view version = parameter(parts, "v");
    const bool ours = parameter(parts, "g") == "meta.k8s.io" && (version == "v1" || version == "v1beta1");
    if (json && ours && as == "Table") {
      return Form::Table;
    }
    if (json && ours && as.starts_with("PartialObjectMetadata")) {
      return Form::Partial;
    }
    if (type == "application/yaml") {
      return Form::Yaml;
    }
  }
  return std::unexpected(not_acceptable());
}

Task<void> send_failure(http::Exchange& exchange, const Failure& failure) {
  const std::string body = json::write(boost::json::value(failure.status()));
  http::ResponseHead head = head_of(failure.code, "application/json", {});
  if (failure.code == 401) {
    head.headers.add("WWW-Authenticate", "Bearer realm=\"llmd\"");
  }
  // A failed write means that the client is gone: nobody is left to tell.
  static_cast<void>(co_await exchange.respond(std::move(head), body));
}

Task<void> send(http::Exchange& exchange, const Request& request, Answer<Reply> reply) {
  if (!reply) {
    co_await send_failure(exchange, reply.error());
    co_return;
  }
  const Answer<Form> form = negotiate(request.accept);
  const bool yaml = form && *form == Form::Yaml;
  const std::string body = yaml ? json::write_yaml(reply->body) : json::write(reply->body);
  http::ResponseHead head =
      head_of(reply->code, yaml ? "application/yaml" : "application/json", request.warnings);
  static_cast<void>(co_await exchange.respond(std::move(head), body));
}

Answer<boost::json::value> shaped(const Service& service, const Request& request,
                                  const kube::Object& object) {
  LLMD_TRY(const Form form, negotiate(request.accept));
  if (form == Form::Table) {
    const kube::Object* const one[] = {&object};
    const std::string_view include = request.query.find("includeObject");
    boost::json::object metadata{{"resourceVersion", kube::resource_version_of(object)}};
    return boost::json::value(make_table(request.kind(), one, std::move(metadata),
                                         include == "Object" ? IncludeObject::Object
                                         : include == "None" ? IncludeObject::None
                                                             : IncludeObject::Metadata,
                                         service.clock.wall_now()));
  }
  if (form == Form::Partial) {
    return boost::json::value(partial_metadata(object));
  }
  return boost::json::value(object);
}

boost::json::object success_status(const Kind& kind, std::string_view name, std::string_view uid) {
  boost::json::object status = success();
  boost::json::object& details = status["details"].emplace_object();
  details["name"] = name;
  if (!kind.resource.group.empty()) {
    details["group"] = kind.resource.group;
  }
  details["kind"] = kind.resource.plural;
  if (!uid.empty()) {
    details["uid"] = uid;
  }
  return status;
}

Reply created_status() {
  boost::json::object status = success();
  status["code"] = 201;
  return {201, std::move(status)};
}

}  // namespace llmd::apiserver
