// What is accepted as an entry made by hand is accepted again after it was written.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "gateway/manual_routes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace llmd;
  const auto parsed = json::parse({reinterpret_cast<const char*>(data), size});
  if (!parsed) {
    return 0;
  }
  const gateway::Network allowed[] = {gateway::Network::parse("0.0.0.0/0").value(),
                                      gateway::Network::parse("::/0").value()};
  const auto route = gateway::parse_manual_route(*parsed, allowed, WallTime());
  if (route) {
    auto written = gateway::to_json(*route);
    written.erase("expires");
    const auto again = gateway::parse_manual_route(json::Value(written), allowed, WallTime());
    if (!again || again->key() != route->key() || again->url != route->url ||
        again->service != route->service) {
      std::abort();
    }
  }
  return 0;
}
