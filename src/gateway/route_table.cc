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

// Exact names before wildcards before none; among equals the longer one.
auto specificity(std::string_view hostname) {
  const int kind = hostname.empty() ? 2 : hostname.starts_with('*') ? 1 : 0;
  return std::tuple(kind, -static_cast<std::ptrdiff_t>(hostname.size()), hostname);
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

// How far a known path is from the asked one: the distance of their common beginnings counts most.
std::size_t distance(std::string_view known, std::string_view asked) {
  const auto differing = std::ranges::mismatch(known, asked);
  const auto common = static_cast<std::size_t>(differing.in1 - known.begin());
  return (known.size() - common) + (asked.size() - common);
}

}  // namespace

bool Match::accepts(const http::RequestHead& request) const {
  if (!method.empty() && method != request.method) {
    return false;
  }
  const auto has_header = [&](const ValueMatch& wanted) {
    const auto found = request.headers.find(wanted.name);
    return found && wanted.accepts(*found);
  };
  const auto has_parameter = [&](const ValueMatch& wanted) {
    const auto found = request.query_parameter(wanted.name);
    return found && wanted.accepts(*found);
  };
  return std::ranges::all_of(headers, has_header) && std::ranges::all_of(query, has_parameter);
}

RouteTable::Listener& RouteTable::listener_at(std::uint16_t port, std::string_view hostname) {
  std::vector<Listener>& all = listeners_[port];
  auto found = std::ranges::find(all, hostname, &Listener::hostname);
  if (found == all.end()) {
    found = all.insert(found, Listener{.hostname = std::string(hostname)});
  }
  return *found;
}

void RouteTable::add_listener(std::uint16_t port, std::string_view listener) {
  listener_at(0, listener);
  listener_at(port, listener);
}

void RouteTable::add(std::uint16_t port, std::string_view listener, std::string_view hostname,
                     const Match& match) {
  add_to(listener_at(0, listener), hostname, match);
  if (port != 0) {
    add_to(listener_at(port, listener), hostname, match);
  }
}

void RouteTable::add_to(Listener& listener, std::string_view hostname, Match match) {
  auto host = std::ranges::find(listener.hosts, hostname, &Host::name);
  if (host == listener.hosts.end()) {
    host = listener.hosts.insert(host, Host{.name = std::string(hostname)});
  }
  switch (match.kind) {
    case Match::Path::Exact:
      host->exact[match.path].push_back(std::move(match));
      break;
    case Match::Path::Regex:
      host->patterns.push_back(std::move(match));
      break;
    case Match::Path::Prefix:
      host->prefix[std::string(without_slash(match.path))].push_back(std::move(match));
      break;
  }
}

void RouteTable::seal() {
  for (auto& [port, listeners] : listeners_) {
    std::ranges::sort(listeners, {}, [](const Listener& each) { return specificity(each.hostname); });
    for (Listener& listener : listeners) {
      std::ranges::sort(listener.hosts, {}, [](const Host& host) { return specificity(host.name); });
      for (Host& host : listener.hosts) {
        for (ByPath* paths : {&host.exact, &host.prefix}) {
          for (auto& [path, matches] : *paths) {
            std::ranges::sort(matches, precedes);
          }
        }
        // The longer expression first, as for prefixes.
        std::ranges::sort(host.patterns, [](const Match& a, const Match& b) {
          return a.path.size() != b.path.size() ? a.path.size() > b.path.size() : precedes(a, b);
        });
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
  for (const Match& match : host.patterns) {
    if (match.pattern->matches(path) && match.accepts(request)) {
      return &match;
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

const Match* RouteTable::find(const http::RequestHead& request, std::uint16_t port) const {
  const auto listeners = listeners_.find(port);
  if (listeners == listeners_.end()) {
    return nullptr;
  }
  const std::string_view host = host_without_port(request.headers.find("host").value_or(""));
  const auto listener = std::ranges::find_if(
      listeners->second, [&](const Listener& each) { return host_matches(each.hostname, host); });
  if (listener == listeners->second.end()) {
    return nullptr;
  }
  // Only the most specific listener counts: routes of others are none of this host's.
  for (const Host& candidate : listener->hosts) {
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
  const auto describe_matches = [&lines](const Host& host, const std::vector<Match>& matches) {
    for (const Match& match : matches) {
      std::string line = host.name + match.path;
      for (const ValueMatch& header : match.headers) {
        line += fmt::format(" with {}: {}", header.name, header.value);
      }
      lines.push_back(std::move(line));
    }
  };
  const auto all = listeners_.find(0);
  if (all == listeners_.end()) {
    return lines;
  }
  for (const Listener& listener : all->second) {
    for (const Host& host : listener.hosts) {
      for (const ByPath* paths : {&host.exact, &host.prefix}) {
        for (const auto& [path, matches] : *paths) {
          describe_matches(host, matches);
        }
      }
      describe_matches(host, host.patterns);
    }
  }
  std::ranges::sort(lines);
  const auto repeated = std::ranges::unique(lines);
  lines.erase(repeated.begin(), repeated.end());
  return lines;
}

std::vector<std::string> RouteTable::nearest(std::string_view path, std::size_t most) const {
  auto lines = describe();
  const std::size_t count = std::min(most, lines.size());
  const auto begin_of_path = [](const std::string& line) {
    return std::string_view(line).substr(std::min(line.find('/'), line.size()));
  };
  std::ranges::sort(lines, {}, [&](const std::string& line) {
    return std::pair(distance(begin_of_path(line), path), std::string_view(line));
  });
  lines.resize(count);
  return lines;
}

std::size_t RouteTable::size() const {
  return describe().size();
}

}  // namespace llmd::gateway
