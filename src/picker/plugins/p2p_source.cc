#include "picker/plugins/p2p_source.h"

#include <algorithm>

#include "crypto/hash.h"

namespace llmd::picker {
namespace {

constexpr std::string_view kHeader = "x-kv-cache-source-host-port";

class P2pSourceProducer final : public RequestHook {
 public:
  P2pSourceProducer(PrefixColumns prefix, std::int64_t delta)
      : prefix_(prefix), delta_(static_cast<double>(delta)) {}

  void dispatched(const Cycle& cycle, const Stages& stages, Decision& decision) const override {
    if (cycle.request().headers.find(kHeader)) {
      decision.headers.remove(kHeader);  // clients do not choose it
    }
    const Row computing = stages.prefill.value_or(stages.primary.front());
    const double block = cycle.scalar(prefix_.block_tokens);
    float most = 0;
    for (const Row row : cycle.candidates()) {
      most = std::max(most, cycle.at(prefix_.cached, row));
    }
    if (most == 0 || (most - cycle.at(prefix_.cached, computing)) * block < delta_) {
      return;
    }
    const Row source = draw(cycle, most);
    if (source != computing) {
      decision.headers.set(kHeader, cycle.endpoint(source).destination);
    }
  }

 private:
  Row draw(const Cycle& cycle, float most) const {
    const auto weight = [&](Row row) {
      return cycle.at(prefix_.cached, row) + 1 >= most ? 1.0 / (1.0 + cycle.at(kWaiting, row)) : 0.0;
    };
    double total = 0;
    for (const Row row : cycle.candidates()) {
      total += weight(row);
    }
    double left = crypto::fnv1a_32(cycle.request().id) * 0x1p-32 * total;
    Row last = cycle.candidates().front();
    for (const Row row : cycle.candidates()) {
      if (const double own = weight(row); own > 0) {
        last = row;
        left -= own;
        if (left < 0) {
          break;
        }
      }
    }
    return last;
  }

  const PrefixColumns prefix_;
  const double delta_;
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_p2p_source_producer(PluginSetup& setup) {
  std::int64_t delta = 1;
  setup.parameters.read("minCachedTokenDelta", delta);
  setup.parameters.accept({"prefillProfileName"});
  if (delta < 1) {
    setup.parameters.reject("minCachedTokenDelta", "must be at least 1");
  }
  return std::make_unique<P2pSourceProducer>(setup.required_prefix(), delta);
}

}  // namespace llmd::picker
