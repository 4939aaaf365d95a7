#include "llmisvc/storage_credentials.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "json/path.h"
#include "llmisvc/labels.h"
#include "llmisvc/pod_edit.h"

namespace llmd::llmisvc {
namespace {

constexpr std::string_view kPrefix = "serving.kserve.io/";
constexpr std::string_view kGoogleKey = "gcloud-application-credentials.json";

// Keys of a Secret, and the variable that carries each.
constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kKeys{{
    {"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"},
    {"awsAccessKeyID", "AWS_ACCESS_KEY_ID"},
    {"AWS_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"},
    {"awsSecretAccessKey", "AWS_SECRET_ACCESS_KEY"},
    {"HF_TOKEN", "HF_TOKEN"},
    {"AZ_SUBSCRIPTION_ID", "AZ_SUBSCRIPTION_ID"},
    {"AZ_TENANT_ID", "AZ_TENANT_ID"},
    {"AZ_CLIENT_ID", "AZ_CLIENT_ID"},
    {"AZ_CLIENT_SECRET", "AZ_CLIENT_SECRET"},
    {"AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_ACCESS_KEY"},
    {"STORAGE_CONFIG", "STORAGE_CONFIG"},
}};

// Annotations (behind the prefix) of a Secret or ServiceAccount, and the variable that carries each.
constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kSettings{{
    {"s3-region", "AWS_DEFAULT_REGION"},
    {"s3-verifyssl", "S3_VERIFY_SSL"},
    {"s3-useanoncredential", "awsAnonymousCredential"},
    {"s3-usevirtualbucket", "S3_USER_VIRTUAL_BUCKET"},
    {"s3-useaccelerate", "S3_USE_ACCELERATE"},
    {"s3-cabundle", "AWS_CA_BUNDLE"},
}};

const json::Object* find(const std::map<std::string, json::Object, std::less<>>& objects,
                         const Service& service, std::string_view name) {
  const auto found = objects.find(fmt::format("{}/{}", service.name_space, name));
  return found == objects.end() ? nullptr : &found->second;
}

std::string annotation(const json::Object& object, std::string_view name) {
  const auto* metadata = object.if_contains("metadata");
  const auto* annotations = metadata == nullptr ? nullptr : json::object_at(*metadata, "annotations");
  const auto* found =
      annotations == nullptr ? nullptr : annotations->if_contains(fmt::format("{}{}", kPrefix, name));
  return found == nullptr || !found->is_string() ? std::string() : std::string(found->get_string());
}

bool has_key(const json::Object& secret, std::string_view key) {
  for (const char* field : {"data", "stringData"}) {
    const auto* data = secret.if_contains(field);
    if (data != nullptr && data->is_object() &&
        data->get_object().contains(boost::json::string_view(key.data(), key.size()))) {
      return true;
    }
  }
  return false;
}

void add_settings(const json::Object& object, json::Object& downloader) {
  if (const std::string endpoint = annotation(object, "s3-endpoint"); !endpoint.empty()) {
    const std::string https = annotation(object, "s3-usehttps");
    if (!https.empty()) {
      add_env(downloader, "S3_USE_HTTPS", https);
    }
    add_env(downloader, "S3_ENDPOINT", endpoint);
    add_env(downloader, "AWS_ENDPOINT_URL",
            fmt::format("{}://{}", https == "0" ? "http" : "https", endpoint));
  }
  for (const auto& [name, variable] : kSettings) {
    if (const std::string value = annotation(object, name); !value.empty()) {
      add_env(downloader, variable, value);
    }
  }
}

void add_secret(json::Object& pod, json::Object& downloader, const std::string& name,
                const json::Object& secret) {
  for (const auto& [key, variable] : kKeys) {
    if (has_key(secret, key)) {
      const json::Object reference{{"secretKeyRef", {{"key", text_value(key)}, {"name", name}}}};
      add_keyed(downloader, "env", "name", {{"name", text_value(variable)}, {"valueFrom", reference}});
    }
  }
  add_settings(secret, downloader);
  if (has_key(secret, kGoogleKey)) {
    add_volume(pod, "user-gcp-sa", {{"secret", {{"secretName", name}}}});
    add_mount(downloader, "user-gcp-sa", "/var/secrets/", true);
    add_env(downloader, "GOOGLE_APPLICATION_CREDENTIALS", fmt::format("/var/secrets/{}", kGoogleKey));
  }
}

std::string account_of(const json::Object& pod) {
  return std::string(json::string_at(json::Value(pod), "serviceAccountName").value_or("default"));
}

std::vector<std::string> secrets_of(const json::Object* account) {
  std::vector<std::string> names;
  const auto* list = account == nullptr ? nullptr : account->if_contains("secrets");
  if (list != nullptr && list->is_array()) {
    for (const json::Value& secret : list->get_array()) {
      names.emplace_back(json::string_at(secret, "name").value_or(""));
    }
  }
  return names;
}

}  // namespace

void add_credentials(json::Object& pod, json::Object& downloader, const Service& service,
                     const Facts& facts) {
  const json::Object* account = find(facts.service_accounts, service, account_of(pod));
  std::vector<std::string> names = secrets_of(account);
  if (const std::string named = annotation({{"metadata", service.metadata}}, "storageSecretName");
      !named.empty()) {
    names.insert(names.begin(), named);
  }
  for (const std::string& name : names) {
    if (const json::Object* secret = find(facts.secrets, service, name)) {
      add_secret(pod, downloader, name, *secret);
    }
  }
  if (account != nullptr) {
    add_settings(*account, downloader);
  }
}

void copy_account(const json::Object& pod, const Service& service, const Facts& facts, bool with_annotations,
                  json::Object& account) {
  const json::Object* source = find(facts.service_accounts, service, account_of(pod));
  if (source == nullptr) {
    return;
  }
  for (const char* list : {"imagePullSecrets", "secrets"}) {
    if (const auto* names = source->if_contains(list); names != nullptr && names->is_array()) {
      account[list] = *names;
    }
  }
  const auto* annotations = json::object_at(source->at("metadata"), "annotations");
  if (with_annotations && annotations != nullptr) {
    json::Object copy = *annotations;
    copy.erase("kubectl.kubernetes.io/last-applied-configuration");
    account["metadata"].as_object()["annotations"] = std::move(copy);
  }
}

}  // namespace llmd::llmisvc
