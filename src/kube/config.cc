// Where the API server is and how to prove who we are: kubeconfig files and the files every pod has in a
// cluster.
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/strings.h"
#include "crypto/encode.h"
#include "json/path.h"
#include "json/yaml.h"
#include "kube/client.h"

namespace llmd::kube {

namespace {

constexpr std::size_t kMaxFile = 4 << 20;
// Every pod has these files.
constexpr std::string_view kAccount = "/var/run/secrets/kubernetes.io/serviceaccount";

std::filesystem::path account_file(std::string_view name) {
  return std::filesystem::path(kAccount) / name;
}

Result<void> read_server_url(std::string_view url, ClientConfig& config) {
  std::string_view rest = url;
  if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
    config.tls = false;
  } else {
    return invalid_argument("server: expected https:// or http://, got {}", url);
  }
  if (rest.ends_with('/')) {
    rest.remove_suffix(1);
  }
  if (rest.find('/') != std::string_view::npos) {
    return invalid_argument("server: a path behind the address is not supported: {}", url);
  }
  std::string address(rest);
  if (rest.rfind(':') == std::string_view::npos || rest.ends_with(']')) {
    address += config.tls ? ":443" : ":80";
  }
  LLMD_TRY(config.server, net::parse_address(address));
  return {};
}

// The entry called `name` of the list `list`, and in it the object `member`.
Result<const json::Object*> named_entry(const json::Value& root, std::string_view list, std::string_view name,
                                        std::string_view member) {
  if (const json::Array* entries = json::array_at(root, list)) {
    for (const json::Value& entry : *entries) {
      if (json::string_at(entry, "name") == name) {
        if (const json::Object* found = json::object_at(entry, member)) {
          return found;
        }
      }
    }
  }
  return not_found("{}: no entry named '{}'", list, name);
}

// `key`-data holds base64, `key` a path relative to the kubeconfig.
Result<std::string> inline_or_file(const json::Object& object, std::string_view key,
                                   const std::filesystem::path& folder) {
  if (const std::string_view data = find_string(object, std::string(key) + "-data"); !data.empty()) {
    return crypto::from_base64(data);
  }
  const std::string_view path = find_string(object, key);
  return path.empty() ? Result<std::string>() : read_file(folder / path, kMaxFile);
}

// What cannot be read now is a mistake; later it may be a moment between two tokens.
Result<void> check_token_file(const std::filesystem::path& path) {
  LLMD_TRY_VOID(read_file(path, kMaxFile));
  return {};
}

Result<void> read_user(const json::Object& user, const std::filesystem::path& folder, ClientConfig& config) {
  for (const char* plugin : {"exec", "auth-provider"}) {
    if (user.contains(plugin)) {
      return unimplemented("users of kind '{}' are not supported", plugin)
          .hint("put a token into the file: kubectl create token ACCOUNT");
    }
  }
  config.bearer_token = find_string(user, "token");
  if (const std::string_view path = find_string(user, "tokenFile");
      config.bearer_token.empty() && !path.empty()) {
    LLMD_TRY_VOID(check_token_file(folder / path));
    config.bearer_token_file = (folder / path).string();
  }
  LLMD_TRY(config.client_certificate_pem, inline_or_file(user, "client-certificate", folder));
  LLMD_TRY(config.client_key_pem, inline_or_file(user, "client-key", folder));
  return {};
}

Result<ClientConfig> read_kubeconfig(const json::Value& root, const std::filesystem::path& folder,
                                     std::string context) {
  if (context.empty()) {
    context = json::string_at(root, "current-context").value_or("");
  }
  LLMD_TRY(const auto* chosen, named_entry(root, "contexts", context, "context"));
  LLMD_TRY(const auto* cluster, named_entry(root, "clusters", find_string(*chosen, "cluster"), "cluster"));
  ClientConfig config;
  LLMD_TRY_VOID(read_server_url(find_string(*cluster, "server"), config));
  LLMD_TRY(config.ca_pem, inline_or_file(*cluster, "certificate-authority", folder));
  config.server_name = find_string(*cluster, "tls-server-name");
  if (const std::string_view user = find_string(*chosen, "user"); !user.empty()) {
    LLMD_TRY(const auto* found, named_entry(root, "users", user, "user"));
    LLMD_TRY_VOID(read_user(*found, folder, config));
  }
  return config;
}

}  // namespace

Result<ClientConfig> ClientConfig::from_kubeconfig(const std::string& path, const std::string& context) {
  LLMD_TRY(const auto text, read_file(path, kMaxFile));
  LLMD_TRY(const auto documents, json::parse_yaml(text, path));
  if (documents.empty()) {
    return invalid_argument("{}: the file is empty", path);
  }
  auto config = read_kubeconfig(documents.front().value, std::filesystem::path(path).parent_path(), context);
  if (!config) {
    return std::move(config.error()).within(path);
  }
  return config;
}

Result<ClientConfig> ClientConfig::in_cluster() {
  const char* host = std::getenv("KUBERNETES_SERVICE_HOST");
  const char* port = std::getenv("KUBERNETES_SERVICE_PORT");
  if (!host || !port) {
    return failed_precondition("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
        .hint("outside a cluster pass a kubeconfig");
  }
  ClientConfig config;
  const auto number = parse_integer(port);
  if (!number || *number < 1 || *number > 65535) {
    return invalid_argument("KUBERNETES_SERVICE_PORT: not a port: {}", port);
  }
  config.server = {host, static_cast<std::uint16_t>(*number)};
  LLMD_TRY(config.ca_pem, read_file(account_file("ca.crt"), kMaxFile));
  LLMD_TRY_VOID(check_token_file(account_file("token")));
  config.bearer_token_file = account_file("token").string();
  return config;
}

std::string own_namespace() {
  if (const char* named = std::getenv("NAMESPACE"); named != nullptr && *named != '\0') {
    return named;
  }
  const auto read = read_file(account_file("namespace"), kMaxFile);
  const std::string_view name = read ? trim(*read) : std::string_view();
  return name.empty() ? "default" : std::string(name);
}

}  // namespace llmd::kube
