#include "extproc/endpoints_file.h"

#include <set>

#include "async/deadline.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "json/path.h"
#include "json/yaml.h"

namespace llmd::extproc {
namespace {

constexpr std::size_t kMaxFile = 1024 * 1024;
constexpr auto kLookEvery = std::chrono::seconds(1);

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

Result<void> apply_labels(const json::Value& entry, picker::Endpoint& endpoint) {
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

Result<picker::Endpoint> read_entry(const json::Value& entry) {
  picker::Endpoint endpoint;
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

}  // namespace

Result<std::vector<picker::Endpoint>> parse_endpoints(std::string_view text, std::string_view source_name) {
  LLMD_TRY(const auto documents, json::parse_yaml(text, source_name));
  if (documents.size() != 1) {
    return invalid_argument("{}: expected one document with a list 'endpoints'", source_name);
  }
  const json::Array* entries = json::array_at(documents.front().value, "endpoints");
  if (entries == nullptr) {
    return invalid_argument("{}: a list 'endpoints' is missing", source_name);
  }
  std::vector<picker::Endpoint> endpoints;
  std::set<std::string> names;
  for (std::size_t i = 0; i < entries->size(); ++i) {
    const std::string path = json::path_index("endpoints", i);
    auto endpoint = read_entry((*entries)[i]);
    if (!endpoint) {
      return std::unexpected(
          std::move(endpoint).error().within(documents.front().place_of(path) + ": " + path));
    }
    if (!names.insert(endpoint->namespace_ + "/" + endpoint->name).second) {
      return invalid_argument("{}: {}: the name {} is there twice", documents.front().place_of(path), path,
                              endpoint->name);
    }
    endpoints.push_back(std::move(*endpoint));
  }
  return endpoints;
}

Result<std::vector<picker::Endpoint>> read_endpoints(const std::filesystem::path& file) {
  LLMD_TRY(const std::string text, read_file(file, kMaxFile));
  return parse_endpoints(text, file.string());
}

Task<void> watch_endpoints(std::filesystem::path file,
                           std::function<void(std::vector<picker::Endpoint>)> changed) {
  std::string last = read_file(file, kMaxFile).value_or("");
  while (true) {
    co_await async::sleep(kLookEvery);
    auto text = read_file(file, kMaxFile);
    if (!text || *text == last) {
      continue;
    }
    last = std::move(*text);
    auto endpoints = parse_endpoints(last, file.string());
    if (!endpoints) {
      log::warning("endpoints keep as they were", {{"problem", endpoints.error().text()}});
      continue;
    }
    log::info("endpoints changed", {{"file", file.string()}, {"endpoints", endpoints->size()}});
    changed(std::move(*endpoints));
  }
}

}  // namespace llmd::extproc
