#include "gateway/route_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <tuple>

#include "base/strings.h"

namespace llmd::gateway {
namespace {

bool host_matches(std::string_view pattern, std::string_view host) {
  if (pattern.empty()) {
    return true;
  }
  if (pattern.starts_with("*.")) {
    const std::string_view suffix = pattern.substr(1);
    return host.size() > suffix.size() &&
           equals_ignoring_case(host.substr(host.size() - suffix.size()), suffix);
  }
  return equals_ignoring_case(pattern, host);
}

// Without the port; brackets of IPv6 stay.
std::string_view host_of(const http::RequestHead& request) {
  const std::string_view host = request.headers.find("host").value_or("");
  const std::size_t colon = host.rfind(':');
  const bool has_port = colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos;
  return has_port ? host.substr(0, colon) : host;
}

std::string_view without_slash(std::string_view path) {
  return path.ends_with('/') ? path.substr(0, path.size() - 1) : path;
}

// True when `a` comes before `b` among matches of one path.
bool precedes(const Match& a, const Match& b) {
  const auto rank = [](const Match& match) {
    return std::tuple(match.method.empty(), -static_cast<std::ptrdiff_t>(match.headers.size()),
                      -static_cast<std::ptrdiff_t>(match.query.size()), std::string_view(match.created),
                      std::string_view(match.rule->route), match.order);
  };
  return rank(a) < rank(b);
}

const Match* first_accepting(const std::vector<Match>& matches, const http::RequestHead& request) {
  for (const Match& match : matches) {
    if (match.accepts(request)) {
      return &match;
    }
  }
  return nullptr;
}

}  // namespace

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

bool Match::accepts(const http::RequestHead& request) const {
  if (!method.empty() && method != request.method) {
    return false;
  }
  const auto has_header = [&](const NameValue& wanted) {
    return request.headers.find(wanted.name) == wanted.value;
  };
  const auto has_parameter = [&](const NameValue& wanted) {
    return request.query_parameter(wanted.name) == wanted.value;
  };
  return std::ranges::all_of(headers, has_header) && std::ranges::all_of(query, has_parameter);
}

void RouteTable::add(std::string_view hostname, Match match) {
  auto host = std::ranges::find(hosts_, hostname, &Host::name);
  if (host == hosts_.end()) {
    host = hosts_.insert(host, Host{std::string(hostname), {}, {}});
  }
  const bool exact = match.kind == Match::Path::Exact;
  std::string key(exact ? std::string_view(match.path) : without_slash(match.path));
  (exact ? host->exact : host->prefix)[std::move(key)].push_back(std::move(match));
}

void RouteTable::seal() {
  // Exact names before wildcards before none; among equals the longer one.
  std::ranges::sort(hosts_, {}, [](const Host& host) {
    const int kind = host.name.empty() ? 2 : host.name.starts_with('*') ? 1 : 0;
    return std::tuple(kind, -static_cast<std::ptrdiff_t>(host.name.size()), std::string_view(host.name));
  });
  for (Host& host : hosts_) {
    for (ByPath* paths : {&host.exact, &host.prefix}) {
      for (auto& [path, matches] : *paths) {
        std::ranges::sort(matches, precedes);
      }
    }
  }
}

const Match* RouteTable::find_in(const Host& host, const http::RequestHead& request) {
  std::string_view path = request.path();
  if (const auto found = host.exact.find(path); found != host.exact.end()) {
    if (const Match* match = first_accepting(found->second, request)) {
      return match;
    }
  }
  // Prefixes end at a slash: /a/b/c is tried as /a/b/c, /a/b, /a and the root.
  path = without_slash(path);
  while (true) {
    if (const auto found = host.prefix.find(path); found != host.prefix.end()) {
      if (const Match* match = first_accepting(found->second, request)) {
        return match;
      }
    }
    if (path.empty()) {
      return nullptr;
    }
    path = path.substr(0, path.rfind('/'));
  }
}

const Match* RouteTable::find(const http::RequestHead& request) const {
  const std::string_view host = host_of(request);
  for (const Host& candidate : hosts_) {
    if (host_matches(candidate.name, host)) {
      if (const Match* match = find_in(candidate, request)) {
        return match;
      }
    }
  }
  return nullptr;
}

std::vector<std::string> RouteTable::describe() const {
  std::vector<std::string> lines;
  for (const Host& host : hosts_) {
    for (const ByPath* paths : {&host.exact, &host.prefix}) {
      for (const auto& [path, matches] : *paths) {
        for (const Match& match : matches) {
          std::string line = host.name + match.path;
          for (const auto& [name, value] : match.headers) {
            line += fmt::format(" with {}: {}", name, value);
          }
          lines.push_back(std::move(line));
        }
      }
    }
  }
  std::ranges::sort(lines);
  const auto repeated = std::ranges::unique(lines);
  lines.erase(repeated.begin(), repeated.end());
  return lines;
}

}  // namespace llmd::gateway
