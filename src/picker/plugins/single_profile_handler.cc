#include "picker/plugins/single_profile_handler.h"

namespace llmd::picker {
namespace {

class SingleProfileHandler final : public ProfileHandler {
 public:
  Result<void> bind(std::span<const std::string> profiles) override {
    if (profiles.size() != 1) {
      return invalid_argument("single-profile-handler needs exactly one profile, there are {}",
                              profiles.size());
    }
    return {};
  }

  Result<void> choose(ProfileRunner& runner, Stages& stages) const override {
    const auto picks = runner.run(0);
    if (picks.empty()) {
      return unavailable("no endpoints available for the given request");
    }
    stages.primary.assign(picks.begin(), picks.end());
    return {};
  }
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_single_profile_handler(PluginSetup& setup) {
  setup.parameters.accept_all();  // older documents pass names of plugins here
  return std::make_unique<SingleProfileHandler>();
}

}  // namespace llmd::picker
