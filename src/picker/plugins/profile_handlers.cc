#include "picker/plugins/profile_handlers.h"

#include <algorithm>

#include "base/strings.h"

namespace llmd::picker {
namespace {

class DataParallelHandler final : public ProfileHandler {
 public:
  explicit DataParallelHandler(int port) : port_(port) {}
  Result<void> bind(std::span<const std::string> profiles) override {
    if (profiles.size() != 1) {
      return invalid_argument("data-parallel-profile-handler needs exactly one profile, there are {}",
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
    stages.primary_port = port_;
    return {};
  }

 private:
  const int port_;
};

// Runs the one profile that the request asks for.
class NamedProfileHandler : public ProfileHandler {
 public:
  Result<void> bind(std::span<const std::string> profiles) override {
    profiles_.assign(profiles.begin(), profiles.end());
    return {};
  }
  Result<void> choose(ProfileRunner& runner, Stages& stages) const override {
    const Request& request = runner.cycle().request();
    LLMD_TRY(const std::string_view wanted, profile_for(request));
    const auto found = profiles_.size() == 1 ? profiles_.begin() : std::ranges::find(profiles_, wanted);
    if (found == profiles_.end()) {
      return not_found("failed to run any scheduler profile for request {}", request.id);
    }
    const auto index = static_cast<std::size_t>(found - profiles_.begin());
    const auto picks = runner.run(index);
    if (picks.empty()) {
      return unavailable("no endpoints available for the given request");
    }
    stages.primary.assign(picks.begin(), picks.end());
    stages.primary_profile = index;
    return {};
  }

 private:
  virtual Result<std::string_view> profile_for(const Request& request) const = 0;
  std::vector<std::string> profiles_;
};

class HeaderProfileHandler final : public NamedProfileHandler {
 public:
  HeaderProfileHandler(std::string header, std::string fallback)
      : header_(std::move(header)), default_(std::move(fallback)) {}

 private:
  Result<std::string_view> profile_for(const Request& request) const override {
    const std::string_view wanted = trim(request.headers.find(header_).value_or(""));
    return wanted.empty() ? std::string_view(default_) : wanted;
  }
  const std::string header_;
  const std::string default_;
};

constexpr std::string_view kPrediction = "x-prediction-based-scheduling";

class SloAwareHandler final : public NamedProfileHandler {
  Result<std::string_view> profile_for(const Request& request) const override {
    const std::string_view wanted = request.headers.find(kPrediction).value_or("false");
    static constexpr std::string_view kTrue[] = {"1", "t", "T", "TRUE", "true", "True"};
    static constexpr std::string_view kFalse[] = {"0", "f", "F", "FALSE", "false", "False"};
    if (std::ranges::find(kTrue, wanted) != std::end(kTrue)) {
      return "slo";
    }
    if (std::ranges::find(kFalse, wanted) != std::end(kFalse)) {
      return "default";
    }
    return invalid_argument("{}: \"{}\" is no boolean", kPrediction, wanted);
  }
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_data_parallel_profile_handler(PluginSetup& setup) {
  int port = 8000;
  setup.parameters.read("primaryPort", port);
  if (port < 0 || port > 65535) {
    setup.parameters.reject("primaryPort", "must be between 0 and 65535");
  }
  return std::make_unique<DataParallelHandler>(port);
}

Result<std::unique_ptr<Plugin>> make_header_profile_handler(PluginSetup& setup) {
  std::string header = "EPP-Profile";
  std::string fallback = "decode";
  setup.parameters.read("headerName", header);
  setup.parameters.read("defaultProfile", fallback);
  header = to_lower(header);
  setup.reads_header(header);
  return std::make_unique<HeaderProfileHandler>(std::move(header), std::move(fallback));
}

Result<std::unique_ptr<Plugin>> make_slo_aware_profile_handler(PluginSetup& setup) {
  setup.parameters.accept_all();
  setup.reads_header(kPrediction);
  return std::make_unique<SloAwareHandler>();
}

}  // namespace llmd::picker
