#include "picker/plugins/context_length.h"

#include "base/strings.h"

namespace llmd::picker {
namespace {

struct Range {
  double low = 0;
  double high = 0;
};

// nullopt: not two non-negative integers with low <= high.
std::optional<Range> parse_range(std::string_view text) {
  const auto dash = text.find('-');
  if (dash == std::string_view::npos) {
    return std::nullopt;
  }
  const auto low = parse_integer(trim(text.substr(0, dash)));
  const auto high = parse_integer(trim(text.substr(dash + 1)));
  if (!low || !high || *low < 0 || *high < *low) {
    return std::nullopt;
  }
  return Range{static_cast<double>(*low), static_cast<double>(*high)};
}

class ContextLengthAware final : public Scorer, public Filter {
 public:
  ContextLengthAware(std::string label, bool filters) : label_(std::move(label)), filters_(filters) {}

  void filter(Cycle& cycle, std::vector<Row>& rows) const override {
    if (!filters_) {
      return;
    }
    const auto length = static_cast<double>(cycle.request().prompt_tokens());
    std::erase_if(rows, [&](Row row) {
      const std::string* label = cycle.described(row).label(label_);
      if (label == nullptr) {
        return false;
      }
      const auto range = parse_range(*label);
      return !range || length < range->low || length > range->high;
    });
  }

  void score(const Cycle& cycle, std::span<const Row> rows, std::span<double> scores) const override {
    const auto length = static_cast<double>(cycle.request().prompt_tokens());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::string* label = cycle.described(rows[i]).label(label_);
      const auto range = label != nullptr ? parse_range(*label) : std::nullopt;
      scores[i] = label == nullptr ? 0.5 : range ? fit(*range, length) : 0.0;
    }
  }

 private:
  static double fit(const Range& range, double length) {
    if (length < range.low || length > range.high) {
      const double distance = length < range.low ? range.low - length : length - range.high;
      return 0.3 / (1 + distance / 1000);
    }
    const double width = range.high - range.low;
    if (width == 0) {
      return 1;
    }
    return 0.3 + 0.7 * (0.7 / (1 + width / 10000) + 0.3 * (range.high - length) / width);
  }

  const std::string label_;
  const bool filters_;
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_context_length_aware(PluginSetup& setup) {
  std::string label = "llm-d.ai/context-length-range";
  bool filters = false;
  setup.parameters.read("label", label);
  setup.parameters.read("enableFiltering", filters);
  return std::make_unique<ContextLengthAware>(std::move(label), filters);
}

}  // namespace llmd::picker
