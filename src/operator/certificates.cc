#include "operator/certificates.h"

#include <boost/json.hpp>

#include "base/log.h"
#include "crypto/certificate.h"
#include "llmisvc/child_name.h"
#include "llmisvc/labels.h"

namespace llmd::operators {
namespace {

constexpr std::string_view kExpiration = "certificates.kserve.io/expiration";
constexpr std::string_view kNames = "llmd.dev/certificate-names";
constexpr auto kLifetime = std::chrono::days(365);
constexpr auto kRenewBefore = std::chrono::days(90);

std::vector<std::string> names_of(const llmisvc::Service& service) {
  std::vector<std::string> names;
  for (const char* suffix : {"-kserve-workload-svc", "-kserve-svc", "-kserve-prefill-svc", "-epp-service"}) {
    const std::string host = llmisvc::child_name(service.name, suffix) + "." + service.name_space + ".svc";
    names.push_back(host);
    names.push_back(host + ".cluster.local");
  }
  return names;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text += (text.empty() ? "" : ",") + name;
  }
  return text;
}

// When the live Secret has to be replaced; nullopt: now.
std::optional<WallTime> good_until(const kube::Object& secret, const std::string& names, WallTime now) {
  const auto expires = parse_rfc3339(kube::annotation_of(secret, kExpiration));
  const bool complete = kube::find(secret, "data") != nullptr && kube::annotation_of(secret, kNames) == names;
  if (!complete || !expires || *expires - kRenewBefore <= now) {
    return std::nullopt;
  }
  return *expires - kRenewBefore;
}

kube::Object secret_object(const llmisvc::Service& service, const crypto::Certificate& made,
                           const std::string& names, WallTime expires) {
  kube::Object secret =
      llmisvc::child(service, "v1", "Secret", llmisvc::child_name(service.name, "-kserve-self-signed-certs"),
                     llmisvc::labels_of(service, llmisvc::kWorkload));
  kube::at(secret, "metadata.annotations") =
      kube::Object{{boost::json::string_view(kExpiration.data(), kExpiration.size()), to_rfc3339(expires)},
                   {boost::json::string_view(kNames.data(), kNames.size()), names}};
  secret["type"] = "kubernetes.io/tls";
  secret["stringData"] = {
      {"ca.crt", made.certificate_pem}, {"tls.crt", made.certificate_pem}, {"tls.key", made.key_pem}};
  return secret;
}

}  // namespace

Task<Result<void>> Certificates::ensure(const llmisvc::Service& service) {
  const WallTime now = system_clock().wall_now();
  if (const auto known = good_until_.find(service.uid); known != good_until_.end() && now < known->second) {
    co_return Result<void>();
  }
  const std::vector<std::string> hosts = names_of(service);
  const std::string names = joined(hosts);
  kube::ObjectKey key{.name_space = service.name_space,
                      .name = llmisvc::child_name(service.name, "-kserve-self-signed-certs")};
  const auto live = co_await client_.get(kube::kSecrets, std::move(key));
  if (const auto good = live ? good_until(*live, names, now) : std::nullopt) {
    good_until_[service.uid] = *good;
    co_return Result<void>();
  }
  const auto made = crypto::make_self_signed_certificate(
      {.common_name = service.name, .names = hosts, .valid_for = kLifetime}, now);
  if (!made) {
    co_return std::unexpected(made.error());
  }
  const WallTime expires = now + kLifetime;
  kube::Object secret = secret_object(service, *made, names, expires);
  const auto applied = co_await client_.apply(kube::kSecrets, std::move(secret), "llmd-operator");
  if (!applied) {
    co_return std::unexpected(applied.error());
  }
  log::info("certificate made", {{"service", service.name_space + "/" + service.name}});
  good_until_[service.uid] = expires - kRenewBefore;
  co_return Result<void>();
}

}  // namespace llmd::operators
