#include "gateway/configuration.h"

#include <algorithm>

#include "base/strings.h"
#include "crypto/encode.h"
#include "gateway/network.h"
#include "gateway/picker_request.h"
#include "json/codec.h"
#include "json/yaml.h"
#include "picker/datalayer/scraper.h"
#include "picker/plan.h"

namespace llmd::gateway {

constexpr std::string_view kApiVersion = "config.llmd.dev/v1alpha1";
constexpr std::string_view kKind = "GatewayConfiguration";

BOOST_DESCRIBE_STRUCT(LimitsConfiguration, (), (maxBodyBytes, heldBodyBytes, maxConnections))
BOOST_DESCRIBE_STRUCT(TimeoutsConfiguration, (), (connect, firstByte, idle, endpointWait, picker, total))
BOOST_DESCRIBE_STRUCT(RetriesConfiguration, (), (attempts, hedgeAfter))
BOOST_DESCRIBE_STRUCT(PoolsConfiguration, (), (endpointPicker, pickerConfig))
BOOST_DESCRIBE_STRUCT(UnifiedConfiguration, (),
                      (enabled, strict, defaultOwner, aliases, sessionHeader, probeInterval, probeTimeout,
                       progressInterval))
BOOST_DESCRIBE_STRUCT(ApiKeyConfiguration, (),
                      (name, hash, models, requestsPerMinute, tokensPerMinute, concurrency, trusted))
BOOST_DESCRIBE_STRUCT(AdminConfiguration, (), (listen, tokenFile, allowedNetworks))
BOOST_DESCRIBE_STRUCT(AccessLogConfiguration, (), (path))
BOOST_DESCRIBE_STRUCT(GatewayConfiguration, (),
                      (limits, timeouts, retries, pools, unified, apiKeys, trustedListeners, admin,
                       accessLog))

namespace {

void demand_positive(json::Report& report, std::string_view member, std::int64_t value) {
  if (value <= 0) {
    report.add(member, "must be positive, got {}", value);
  }
}

void demand_positive(json::Report& report, std::string_view member, Duration value) {
  if (value <= Duration::zero()) {
    report.add(member, "must be positive");
  }
}

void demand_no_negative(json::Report& report, std::string_view member, Duration value) {
  if (value < Duration::zero()) {
    report.add(member, "must not be negative");
  }
}

}  // namespace

void validate(const LimitsConfiguration& limits, json::Report& report) {
  demand_positive(report, "maxBodyBytes", limits.maxBodyBytes);
  demand_positive(report, "heldBodyBytes", limits.heldBodyBytes);
  demand_positive(report, "maxConnections", limits.maxConnections);
}

void validate(const TimeoutsConfiguration& timeouts, json::Report& report) {
  demand_positive(report, "connect", timeouts.connect);
  demand_positive(report, "firstByte", timeouts.firstByte);
  demand_positive(report, "idle", timeouts.idle);
  demand_positive(report, "endpointWait", timeouts.endpointWait);
  demand_positive(report, "picker", timeouts.picker);
  demand_no_negative(report, "total", timeouts.total);
}

void validate(const PoolsConfiguration& pools, json::Report& report) {
  if (pools.endpointPicker != "InProcess" && !pools.external()) {
    report.add("endpointPicker", "must be InProcess or External, got \"{}\"", pools.endpointPicker);
  }
  if (const auto picker = make_pool_picker(pools); !picker) {
    report.add("pickerConfig", "{}", picker.error().text());
  }
}

void validate(const RetriesConfiguration& retries, json::Report& report) {
  demand_positive(report, "attempts", retries.attempts);
  demand_no_negative(report, "hedgeAfter", retries.hedgeAfter);
}

void validate(const UnifiedConfiguration& unified, json::Report& report) {
  demand_positive(report, "probeInterval", unified.probeInterval);
  demand_positive(report, "probeTimeout", unified.probeTimeout);
  demand_positive(report, "progressInterval", unified.progressInterval);
}

void validate(const ApiKeyConfiguration& key, json::Report& report) {
  constexpr std::string_view kPrefix = "sha256:";
  if (key.name.empty()) {
    report.add("name", "must be given: logs and metrics name keys by it");
  }
  const auto digest =
      crypto::from_hex(std::string_view(key.hash).substr(std::min(kPrefix.size(), key.hash.size())));
  if (!key.hash.starts_with(kPrefix) || !digest || digest->size() != 32) {
    report.add_with_hint("hash", "make it with: printf %s \"$KEY\" | sha256sum",
                         "must be sha256: and 64 hexadecimal digits");
  }
  for (const auto& [member, limit] : {std::pair("requestsPerMinute", key.requestsPerMinute),
                                      {"tokensPerMinute", key.tokensPerMinute},
                                      {"concurrency", key.concurrency}}) {
    if (limit) {
      demand_positive(report, member, *limit);
    }
  }
}

void validate(const AdminConfiguration& admin, json::Report& report) {
  for (const std::string& network : admin.allowedNetworks) {
    if (const auto parsed = Network::parse(network); !parsed) {
      report.add("allowedNetworks", "{}", parsed.error().text());
    }
  }
}

void validate(const GatewayConfiguration& configuration, json::Report& report) {
  for (std::size_t i = 0; i < configuration.apiKeys.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (configuration.apiKeys[i].name == configuration.apiKeys[j].name) {
        report.add("apiKeys", "two keys are named \"{}\"", configuration.apiKeys[i].name);
      }
    }
  }
}

Result<void> check_files(const GatewayConfiguration& configuration) {
  LLMD_TRY(const auto picker, make_pool_picker(configuration.pools));
  if (auto usable = picker::check_sources(picker->plan()); !usable) {
    return std::unexpected(std::move(usable).error().within("pools.pickerConfig"));
  }
  return {};
}

Result<GatewayConfiguration> parse_gateway_configuration(std::string_view text,
                                                         std::string_view source_name) {
  LLMD_TRY(const auto documents, json::parse_yaml(text, source_name));
  if (documents.size() != 1 || !documents.front().value.is_object()) {
    return invalid_argument("{}: expected one document of kind {}", source_name, kKind);
  }
  const json::YamlDocument& document = documents.front();
  json::Object fields = document.value.get_object();
  const auto field = [&](std::string_view name) {
    return std::string(json::string_at(document.value, name).value_or(""));
  };
  if (field("apiVersion") != kApiVersion || field("kind") != kKind) {
    return invalid_argument("{}: expected apiVersion {} and kind {}, got \"{}\" and \"{}\"",
                            document.place_of("kind"), kApiVersion, kKind, field("apiVersion"),
                            field("kind"));
  }
  for (const char* around : {"apiVersion", "kind", "metadata"}) {
    fields.erase(around);
  }
  auto decoded = json::decode_all<GatewayConfiguration>(json::Value(std::move(fields)));
  if (!decoded.mistakes.empty()) {
    const json::Mistake& first = decoded.mistakes.front();
    return std::unexpected(first.error().within(document.place_of(first.path)));
  }
  return std::move(decoded.value);
}

}  // namespace llmd::gateway
