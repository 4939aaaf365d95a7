#include "picker/plugins/testing_plugins.h"

#include "base/strings.h"

namespace llmd::picker {
namespace {

constexpr std::string_view kSelection = "test-epp-endpoint-selection";

class HeaderBasedTestingFilter final : public Filter {
 public:
  void filter(Cycle& cycle, std::vector<Row>& rows) const override {
    const std::string_view wanted = cycle.request().headers.find(kSelection).value_or("");
    std::vector<Row> kept;
    for (const std::string_view part : split(wanted, ',')) {
      const std::string_view name = trim(part);
      for (const Row row : rows) {
        const EndpointState& endpoint = cycle.endpoint(row);
        if (!name.empty() && (endpoint.endpoint.address.host == name || endpoint.destination == name)) {
          kept.push_back(row);
        }
      }
    }
    rows = std::move(kept);
  }
};

class ServedVerifier final : public RequestHook {
 public:
  void response_headers(Decision&, int, const HeaderView& headers, HeaderEdits& edits) const override {
    if (const auto served = headers.find("x-gateway-destination-endpoint-served")) {
      edits.set_copy("x-conformance-test-served-endpoint", std::string(*served));
    }
  }
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_header_based_testing_filter(PluginSetup& setup) {
  setup.parameters.accept_all();
  setup.reads_header(kSelection);
  return std::make_unique<HeaderBasedTestingFilter>();
}

Result<std::unique_ptr<Plugin>> make_destination_endpoint_served_verifier(PluginSetup& setup) {
  setup.parameters.accept_all();
  return std::make_unique<ServedVerifier>();
}

}  // namespace llmd::picker
