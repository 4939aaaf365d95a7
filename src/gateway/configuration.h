// GatewayConfiguration (config.llmd.dev/v1alpha1): what a gateway may be told by a file. Read once at the
// start; plain data afterwards. docs/reference/gateway-configuration.md describes every field for users.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "json/value.h"

namespace llmd::gateway {

struct LimitsConfiguration {
  std::int64_t maxBodyBytes = 32 << 20;
  std::int64_t heldBodyBytes = std::int64_t{1} << 30;
  std::int64_t maxConnections = 10000;
};

struct TimeoutsConfiguration {
  Duration connect = std::chrono::seconds(5);
  Duration firstByte = std::chrono::seconds(300);
  Duration idle = std::chrono::seconds(300);
  Duration endpointWait = std::chrono::seconds(30);
  Duration picker = std::chrono::seconds(60);  // for the decision of an external endpoint picker
  Duration total = Duration::zero();           // of whole requests whose route says nothing; zero: none
};

struct RetriesConfiguration {
  std::int64_t attempts = 3;
  Duration hedgeAfter = Duration::zero();  // zero: never
};

struct PoolsConfiguration {
  // Who picks for InferencePools that say nothing themselves: "InProcess", or "External": the picker that
  // endpointPickerRef names.
  std::string endpointPicker = "InProcess";
  bool external() const { return endpointPicker == "External"; }
  json::Object pickerConfig = {};  // EndpointPickerConfig of pools that are picked for in process
};

struct UnifiedConfiguration {
  bool enabled = true;
  bool strict = false;       // sources that name different owners: 400 instead of the first one
  std::string defaultOwner;  // for models that several owners serve
  std::map<std::string, std::string> aliases;  // name that clients use: model that is meant
  std::string sessionHeader;  // requests with the same value go to the same endpoint; empty: no sessions
  Duration probeInterval = std::chrono::seconds(30);
  Duration probeTimeout = std::chrono::seconds(2);
  Duration progressInterval = std::chrono::seconds(5);  // between SSE comments while a model starts
};

struct ApiKeyConfiguration {
  std::string name;                 // for logs and metrics
  std::string hash;                 // sha256:HEX of the key
  std::vector<std::string> models;  // allowed names, * at the end matches the rest; empty: all
  std::optional<std::int64_t> requestsPerMinute;
  std::optional<std::int64_t> tokensPerMinute;
  std::optional<std::int64_t> concurrency;
  bool trusted = false;  // its requests may carry objective, fairness, SLO and rewrite headers
};

struct AdminConfiguration {
  std::string listen = "127.0.0.1:8090";     // empty: none
  std::string tokenFile;                     // mode 0600; made at the first start if it does not exist
  std::vector<std::string> allowedNetworks;  // that entries made by hand may lead to
};

struct AccessLogConfiguration {
  std::string path;  // "-": standard output; empty: none
};

struct GatewayConfiguration {
  LimitsConfiguration limits;
  TimeoutsConfiguration timeouts;
  RetriesConfiguration retries;
  PoolsConfiguration pools;
  UnifiedConfiguration unified;
  std::vector<ApiKeyConfiguration> apiKeys;   // empty: everybody may ask
  std::vector<std::string> trustedListeners;  // "PORT" or "HOST:PORT" as they listen; "*": all
  AdminConfiguration admin;
  AccessLogConfiguration accessLog;
};

// The document of this kind in YAML or JSON. Mistakes carry file, line and path; unknown fields are mistakes.
Result<GatewayConfiguration> parse_gateway_configuration(std::string_view text, std::string_view source_name);
// The files that it names (certificates of data sources) can be used. For the start of a gateway: whoever
// only checks the document need not have its files.
Result<void> check_files(const GatewayConfiguration& configuration);

}  // namespace llmd::gateway
