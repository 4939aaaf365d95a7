#include "operator/cluster_facts.h"

#include <boost/json.hpp>

#include <set>

#include "llmisvc/facts_documents.h"

namespace llmd::operators {
namespace {

// nullopt: it is not there, or may not be read.
Task<Result<std::optional<kube::Object>>> find(kube::Client& client, const kube::Resource& resource,
                                               std::string name_space, std::string name) {
  if (name.empty()) {
    co_return std::nullopt;
  }
  kube::ObjectKey key{.name_space = std::move(name_space), .name = std::move(name)};
  auto found = co_await client.get(resource, std::move(key));
  if (found) {
    co_return std::move(*found);
  }
  const ErrorKind kind = found.error().kind;
  if (kind == ErrorKind::NotFound || kind == ErrorKind::PermissionDenied) {
    co_return std::nullopt;
  }
  co_return std::unexpected(std::move(found).error());
}

}  // namespace

Task<Result<void>> add_settings(kube::Client& client, llmisvc::Facts& facts) {
  LLMD_CO_TRY(auto found,
              co_await find(client, kube::kConfigMaps, facts.system_namespace, "inferenceservice-config"));
  if (!found) {
    co_return Result<void>();
  }
  const json::YamlDocument document{
      .value = json::Value(std::move(*found)), .source_name = "cluster", .positions = {}};
  facts = llmisvc::with_documents(std::move(facts), {&document, 1});
  co_return Result<void>();
}

Task<Result<void>> add_config_map(kube::Client& client, const kube::Object& service, llmisvc::Facts& facts) {
  const std::string name(kube::find_string(service, "spec.router.scheduler.config.ref.name"));
  if (name.empty()) {
    co_return Result<void>();
  }
  for (const std::string& where : {std::string(kube::namespace_of(service)), facts.system_namespace}) {
    LLMD_CO_TRY(const auto found, co_await find(client, kube::kConfigMaps, where, name));
    const kube::Object* data = found ? kube::find_object(*found, "data") : nullptr;
    if (data == nullptr) {
      continue;
    }
    auto& entries = facts.config_maps[where + "/" + name];
    for (const auto& member : *data) {
      entries[std::string(member.key())] = member.value().is_string()
                                               ? std::string(std::string_view(member.value().get_string()))
                                               : std::string();
    }
  }
  co_return Result<void>();
}

Task<Result<void>> add_accounts(kube::Client& client, const kube::Object& service, llmisvc::Facts& facts) {
  const std::string name_space(kube::namespace_of(service));
  std::set<std::string> accounts{"default"};
  for (const char* pod : {"spec.template", "spec.worker", "spec.prefill.template", "spec.prefill.worker"}) {
    if (const auto* spec = kube::find_object(service, pod)) {
      accounts.emplace(kube::find_string(*spec, "serviceAccountName"));
    }
  }
  std::set<std::string> secrets{
      std::string(kube::annotation_of(service, "serving.kserve.io/storageSecretName"))};
  for (const std::string& name : accounts) {
    LLMD_CO_TRY(auto account, co_await find(client, kube::kServiceAccounts, name_space, name));
    if (!account) {
      continue;
    }
    if (const auto* listed = kube::find_array(*account, "secrets")) {
      for (const auto& secret : *listed) {
        secrets.emplace(kube::find_string(secret.get_object(), "name"));
      }
    }
    facts.service_accounts[name_space + "/" + name] = std::move(*account);
  }
  for (const std::string& name : secrets) {
    LLMD_CO_TRY(auto secret, co_await find(client, kube::kSecrets, name_space, name));
    if (secret) {
      facts.secrets[name_space + "/" + name] = std::move(*secret);
    }
  }
  co_return Result<void>();
}

}  // namespace llmd::operators
