#include "gateway/filters.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "gateway/fields.h"

namespace llmd::gateway {
namespace {

using kube::find_int;
using kube::find_object;
using kube::find_string;

std::string_view without_slash(std::string_view path) {
  return path.ends_with('/') ? path.substr(0, path.size() - 1) : path;
}

HeaderEdits edits_of(const kube::Object& filter, std::string_view member) {
  const kube::Object* edits = find_object(filter, member);
  if (edits == nullptr) {
    return {};
  }
  return {pairs_in(*edits, "set"), pairs_in(*edits, "add"), strings_in(*edits, "remove")};
}

PathRewrite path_rewrite_of(const kube::Object& parent, std::string_view member) {
  const kube::Object* path = find_object(parent, member);
  if (path == nullptr) {
    return {};
  }
  const std::string_view kind = find_string(*path, "type");
  if (kind == "ReplacePrefixMatch") {
    return {PathRewrite::Kind::PrefixMatch, std::string(find_string(*path, "replacePrefixMatch"))};
  }
  if (kind == "ReplaceFullPath") {
    return {PathRewrite::Kind::FullPath, std::string(find_string(*path, "replaceFullPath"))};
  }
  return {};
}

Redirect redirect_of(const kube::Object& filter) {
  Redirect redirect;
  redirect.scheme = find_string(filter, "requestRedirect.scheme");
  redirect.hostname = find_string(filter, "requestRedirect.hostname");
  redirect.path = path_rewrite_of(filter, "requestRedirect.path");
  redirect.port = static_cast<int>(find_int(filter, "requestRedirect.port", 0));
  redirect.status = static_cast<int>(find_int(filter, "requestRedirect.statusCode", 302));
  return redirect;
}

Mirror mirror_of(const kube::Object& filter) {
  Mirror mirror;
  if (find_object(filter, "requestMirror.fraction") != nullptr) {
    mirror.numerator = static_cast<int>(find_int(filter, "requestMirror.fraction.numerator", 100));
    mirror.denominator = static_cast<int>(find_int(filter, "requestMirror.fraction.denominator", 100));
  } else {
    mirror.numerator = static_cast<int>(find_int(filter, "requestMirror.percent", 100));
  }
  return mirror;
}

Cors cors_of(const kube::Object& filter) {
  Cors cors;
  cors.origins = strings_in(filter, "cors.allowOrigins");
  cors.methods = strings_in(filter, "cors.allowMethods");
  cors.headers = strings_in(filter, "cors.allowHeaders");
  cors.exposed = strings_in(filter, "cors.exposeHeaders");
  cors.credentials = kube::find_bool(filter, "cors.allowCredentials", false);
  cors.max_age_seconds = static_cast<int>(find_int(filter, "cors.maxAge", 5));
  return cors;
}

bool has_token(const std::vector<std::string>& list, std::string_view token) {
  return std::ranges::any_of(list,
                             [&](const std::string& item) { return equals_ignoring_case(item, token); });
}

}  // namespace

std::string_view host_without_port(std::string_view host) {
  const std::size_t colon = host.rfind(':');
  const bool has_port = colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos;
  return has_port ? host.substr(0, colon) : host;
}

void HeaderEdits::apply(http::Headers& headers) const {
  for (const auto& [name, value] : set) {
    headers.set(name, value);
  }
  for (const auto& [name, value] : add) {
    const auto present = headers.find(name);
    if (present) {
      headers.set(name, std::string(*present) + "," + value);
    } else {
      headers.add(name, value);
    }
  }
  for (const std::string& name : remove) {
    headers.remove(name);
  }
}

std::string PathRewrite::apply(std::string_view target, std::string_view matched_prefix) const {
  const std::size_t query_begin = std::min(target.find('?'), target.size());
  const std::string_view path = target.substr(0, query_begin);
  const std::string_view query = target.substr(query_begin);
  if (kind == Kind::None) {
    return std::string(target);
  }
  if (kind == Kind::FullPath) {
    return value + std::string(query);
  }
  const std::string_view rest = path.substr(std::min(without_slash(matched_prefix).size(), path.size()));
  std::string rewritten(rest.empty() ? std::string_view(value) : without_slash(value));
  rewritten += rest;
  if (rewritten.empty()) {
    rewritten = "/";
  }
  rewritten += query;
  return rewritten;
}

std::string Redirect::location(const http::RequestHead& request, std::string_view matched_prefix,
                               std::string_view request_scheme, int listener_port) const {
  const std::string_view asked = request.headers.find("host").value_or("");
  const std::string_view asked_host = host_without_port(asked);
  const std::string to_scheme(scheme.empty() ? request_scheme : std::string_view(scheme));
  const int usual = to_scheme == "https" ? 443 : 80;
  // A named port wins; a named scheme means its usual port; else the client stays on the port it came to.
  int to_port = port;
  if (to_port == 0 && !scheme.empty()) {
    to_port = usual;
  } else if (to_port == 0) {
    to_port = listener_port;
    if (to_port == 0 && asked_host.size() < asked.size()) {
      to_port = static_cast<int>(parse_integer(asked.substr(asked_host.size() + 1)).value_or(usual));
    }
  }
  std::string text = to_scheme + "://";
  text += hostname.empty() ? asked_host : std::string_view(hostname);
  if (to_port != 0 && to_port != usual) {
    text += ":" + std::to_string(to_port);
  }
  return text + path.apply(request.target, matched_prefix);
}

// Multiples of an irrational number fall evenly into the interval. It is another one than the one that
// spreads weights, so that no backend's requests are copied more often than others'.
bool Mirror::chooses(unsigned turn) const {
  const double place = turn * 0.4142135623730951;
  return denominator > 0 && (place - std::floor(place)) * denominator < numerator;
}

bool Cors::allows(std::string_view origin) const {
  return std::ranges::any_of(origins, [origin](const std::string& allowed) {
    const std::size_t star = allowed.find('*');
    if (star == std::string::npos) {
      return equals_ignoring_case(allowed, origin);
    }
    const std::string_view before = std::string_view(allowed).substr(0, star);
    const std::string_view after = std::string_view(allowed).substr(star + 1);
    return origin.size() > before.size() + after.size() && origin.starts_with(before) &&
           origin.ends_with(after);
  });
}

std::optional<http::ResponseHead> Cors::preflight(const http::RequestHead& request) const {
  const auto method = request.headers.find("access-control-request-method");
  if (request.method != "OPTIONS" || !method || !request.headers.has("origin")) {
    return std::nullopt;
  }
  http::ResponseHead answer{.status = 204, .headers = {}};
  mark(request, answer.headers);
  if (!answer.headers.has("Access-Control-Allow-Origin")) {
    return answer;  // without permission: the browser refuses
  }
  const bool any_method = has_token(methods, "*");
  const std::string allowed = any_method ? std::string(*method) : join(methods, ", ");
  if (!allowed.empty()) {
    answer.headers.add("Access-Control-Allow-Methods", allowed);
  }
  const auto asked = request.headers.find("access-control-request-headers");
  const std::string names = has_token(headers, "*") ? std::string(asked.value_or("")) : join(headers, ", ");
  if (!names.empty()) {
    answer.headers.add("Access-Control-Allow-Headers", names);
  }
  answer.headers.add("Access-Control-Max-Age", std::to_string(max_age_seconds));
  return answer;
}

void Cors::mark(const http::RequestHead& request, http::Headers& answer) const {
  const auto origin = request.headers.find("origin");
  if (!origin || !allows(*origin)) {
    return;
  }
  answer.set("Access-Control-Allow-Origin", std::string(*origin));
  answer.add("Vary", "Origin");
  if (credentials) {
    answer.set("Access-Control-Allow-Credentials", "true");
  }
  if (!exposed.empty()) {
    answer.set("Access-Control-Expose-Headers", join(exposed, ", "));
  }
}

ParsedFilters parse_filters(const kube::Object& holder) {
  ParsedFilters parsed;
  Filters& filters = parsed.filters;
  bool rewrites = false;
  for (const kube::Object* filter : objects_in(holder, "filters")) {
    const std::string_view type = find_string(*filter, "type");
    if (type == "URLRewrite") {
      rewrites = true;
      filters.host_rewrite = find_string(*filter, "urlRewrite.hostname");
      filters.rewrite = path_rewrite_of(*filter, "urlRewrite.path");
    } else if (type == "RequestHeaderModifier") {
      filters.request_edits = edits_of(*filter, "requestHeaderModifier");
    } else if (type == "ResponseHeaderModifier") {
      filters.response_edits = edits_of(*filter, "responseHeaderModifier");
    } else if (type == "RequestRedirect") {
      filters.redirect = redirect_of(*filter);
    } else if (type == "CORS") {
      filters.cors = cors_of(*filter);
    } else if (const kube::Object* reference = find_object(*filter, "requestMirror.backendRef");
               type == "RequestMirror" && reference != nullptr) {
      parsed.mirrors.push_back({mirror_of(*filter), reference});
    } else {
      parsed.problem = fmt::format("filter {} is not supported", type);
      parsed.reason = "UnsupportedValue";
    }
  }
  if (rewrites && filters.redirect) {
    parsed.problem = "URLRewrite and RequestRedirect exclude each other";
    parsed.reason = "IncompatibleFilters";
  }
  return parsed;
}

}  // namespace llmd::gateway
