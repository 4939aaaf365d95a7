#include "operator/cluster_facts.h"

#include <boost/json.hpp>

#include <set>

#include "llmisvc/facts_documents.h"

namespace llmd::operators {

Task<void> add_settings(kube::Client& client, llmisvc::Facts& facts) {
  kube::ObjectKey key{.name_space = facts.system_namespace, .name = "inferenceservice-config"};
  auto found = co_await client.get(kube::kConfigMaps, std::move(key));
  if (!found) {
    co_return;
  }
  const json::YamlDocument document{
      .value = json::Value(std::move(*found)), .source_name = "cluster", .positions = {}};
  facts = llmisvc::with_documents(std::move(facts), {&document, 1});
}

Task<void> add_config_map(kube::Client& client, const kube::Object& service, llmisvc::Facts& facts) {
  const std::string name(kube::find_string(service, "spec.router.scheduler.config.ref.name"));
  if (name.empty()) {
    co_return;
  }
  for (const std::string& where : {std::string(kube::namespace_of(service)), facts.system_namespace}) {
    kube::ObjectKey key{.name_space = where, .name = name};
    const auto found = co_await client.get(kube::kConfigMaps, std::move(key));
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
}

Task<void> add_accounts(kube::Client& client, const kube::Object& service, llmisvc::Facts& facts) {
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
    kube::ObjectKey key{.name_space = name_space, .name = name};
    auto account =
        name.empty() ? not_found("no account") : co_await client.get(kube::kServiceAccounts, std::move(key));
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
    kube::ObjectKey key{.name_space = name_space, .name = name};
    auto secret = name.empty() ? not_found("no secret") : co_await client.get(kube::kSecrets, std::move(key));
    if (secret) {
      facts.secrets[name_space + "/" + name] = std::move(*secret);
    }
  }
}

}  // namespace llmd::operators
