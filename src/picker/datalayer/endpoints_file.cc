#include "picker/datalayer/endpoints_file.h"

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "json/path.h"
#include "json/yaml.h"
#include "picker/datalayer/watched_file.h"

namespace llmd::picker {
namespace {

Result<std::uint16_t> port_of(const json::Value& entry, std::string_view member) {
  auto number = json::int_at(entry, member);
  if (const auto text = json::string_at(entry, member)) {
    number = parse_integer(*text);
  }
  if (!number || *number < 1 || *number > 65535) {
    return invalid_argument("must be a port, 1 to 65535");
  }
  return static_cast<std::uint16_t>(*number);
}

// A host without a port; brackets around IPv6 are taken off.
Result<std::string> host_of(const json::Value& entry, std::string_view member) {
  std::string_view host = json::string_at(entry, member).value_or("");
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  }
  if (host.empty() || host.find_first_of(" /,") != std::string_view::npos) {
    return invalid_argument("must be an address or a host name");
  }
  return std::string(host);
}

Result<void> apply_labels(const json::Value& entry, Endpoint& endpoint) {
  const json::Object* labels = json::object_at(entry, "labels");
  if (labels == nullptr) {
    return {};
  }
  for (const auto& [name, value] : *labels) {
    if (!value.is_string()) {
      return invalid_argument("label {}: must be a string", std::string_view(name));
    }
    endpoint.labels.emplace(name, std::string_view(value.as_string()));
  }
  if (const std::string* host = endpoint.label("metricsAddress")) {
    endpoint.metrics = {*host, endpoint.address.port};
  }
  if (const std::string* port = endpoint.label("metricsPort")) {
    const auto number = parse_integer(*port);
    if (!number || *number < 1 || *number > 65535) {
      return invalid_argument("label metricsPort: must be a port, 1 to 65535");
    }
    endpoint.metrics.host = endpoint.metrics.host.empty() ? endpoint.address.host : endpoint.metrics.host;
    endpoint.metrics.port = static_cast<std::uint16_t>(*number);
  }
  return {};
}

Result<Endpoint> read_entry(const json::Value& entry) {
  Endpoint endpoint;
  endpoint.name = json::string_at(entry, "name").value_or("");
  if (endpoint.name.empty()) {
    return invalid_argument("needs a name");
  }
  endpoint.namespace_ = json::string_at(entry, "namespace").value_or("default");
  auto host = host_of(entry, "address");
  if (!host) {
    return std::unexpected(std::move(host).error().within("address"));
  }
  auto port = port_of(entry, "port");
  if (!port) {
    return std::unexpected(std::move(port).error().within("port"));
  }
  endpoint.address = {std::move(*host), *port};
  LLMD_TRY_VOID(apply_labels(entry, endpoint));
  return endpoint;
}

Result<std::vector<std::string>> read_names(const json::Value& entry, std::string_view member) {
  std::vector<std::string> names;
  const json::Array* list = json::array_at(entry, member);
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    if (!(*list)[i].is_string() || (*list)[i].get_string().empty()) {
      return invalid_argument("{}[{}]: must be a name", member, i);
    }
    names.emplace_back(std::string_view((*list)[i].get_string()));
  }
  return names;
}

Result<PoolEntry> read_pool(const json::Value& entry) {
  PoolEntry pool{.name = std::string(json::string_at(entry, "name").value_or(""))};
  if (pool.name.empty()) {
    return invalid_argument("needs a name");
  }
  LLMD_TRY(pool.models, read_names(entry, "models"));
  LLMD_TRY(pool.hosts, read_names(entry, "hosts"));
  pool.config = json::string_at(entry, "config").value_or("");
  pool.is_default = json::bool_at(entry, "default").value_or(false);
  return pool;
}

// Puts the place of a list's entry in front of its error.
template <typename Value>
Result<Value> at_place(Result<Value> read, const json::YamlDocument& document, const std::string& path) {
  if (!read) {
    return std::unexpected(std::move(read).error().within(document.place_of(path) + ": " + path));
  }
  return read;
}

Result<void> read_pools(const json::YamlDocument& document, EndpointsFile& into) {
  const json::Array* entries = json::array_at(document.value, "pools");
  std::set<std::string> claimed;
  for (std::size_t i = 0; entries != nullptr && i < entries->size(); ++i) {
    const std::string path = json::path_index("pools", i);
    LLMD_TRY(PoolEntry pool, at_place(read_pool((*entries)[i]), document, path));
    std::vector<std::string> claims{"pool " + pool.name, pool.is_default ? "default" : ""};
    for (const std::string& model : pool.models) {
      claims.push_back("model " + model);
    }
    for (const std::string& host : pool.hosts) {
      claims.push_back("host " + host);
    }
    for (const std::string& claim : claims) {
      if (!claim.empty() && !claimed.insert(claim).second) {
        return invalid_argument("{}: {}: another pool has the same {}", document.place_of(path), path, claim);
      }
    }
    into.endpoints[pool.name];  // also a pool without endpoints is one
    into.pools.push_back(std::move(pool));
  }
  return {};
}

}  // namespace

Result<EndpointsFile> parse_endpoints(std::string_view text, std::string_view source_name) {
  LLMD_TRY(const auto documents, json::parse_yaml(text, source_name));
  if (documents.size() != 1) {
    return invalid_argument("{}: expected one document with a list 'endpoints'", source_name);
  }
  const json::YamlDocument& document = documents.front();
  const json::Array* entries = json::array_at(document.value, "endpoints");
  if (entries == nullptr) {
    return invalid_argument("{}: a list 'endpoints' is missing", source_name);
  }
  EndpointsFile file;
  LLMD_TRY_VOID(read_pools(document, file));
  const bool listed = !file.pools.empty();
  std::set<std::string> names;
  for (std::size_t i = 0; i < entries->size(); ++i) {
    const std::string path = json::path_index("endpoints", i);
    LLMD_TRY(Endpoint endpoint, at_place(read_entry((*entries)[i]), document, path));
    const std::string pool(json::string_at((*entries)[i], "pool").value_or(""));
    if (!names.insert(fmt::format("{}/{}/{}", pool, endpoint.namespace_, endpoint.name)).second) {
      return invalid_argument("{}: {}: the name {} is there twice", document.place_of(path), path,
                              endpoint.name);
    }
    if (listed && !file.endpoints.contains(pool)) {
      return invalid_argument("{}: {}: the pool '{}' is not listed under pools", document.place_of(path),
                              path, pool);
    }
    if (!pool.empty() && !file.endpoints.contains(pool)) {
      file.pools.push_back({.name = pool});
    }
    file.endpoints[pool].push_back(std::move(endpoint));
  }
  return file;
}

Task<void> watch_endpoints(std::filesystem::path file, std::string text,
                           std::function<void(EndpointsFile)> changed) {
  const std::string name = file.string();
  co_await watch_file(std::move(file), std::move(text), [&](const std::string& now) -> Result<void> {
    LLMD_TRY(auto endpoints, parse_endpoints(now, name));
    changed(std::move(endpoints));
    return {};
  });
}

}  // namespace llmd::picker
