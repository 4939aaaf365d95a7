#include "metrics/registry.h"

#include <type_traits>

#include "base/assert.h"

namespace llmd::metrics {
namespace {

template <typename Metric>
constexpr Type kTypeOf = std::is_same_v<Metric, Counter> ? Type::Counter
                         : std::is_same_v<Metric, Gauge> ? Type::Gauge
                                                         : Type::Histogram;

}  // namespace

template <typename Metric>
Family<Metric>::Family(FamilyOptions options) : options_(std::move(options)) {}

template <typename Metric>
std::shared_ptr<Metric> Family<Metric>::make() const {
  if constexpr (std::is_same_v<Metric, Histogram>) {
    return std::make_shared<Histogram>(options_.bounds);
  } else {
    return std::make_shared<Metric>();
  }
}

template <typename Metric>
std::string Family<Metric>::key_of(std::span<const std::string_view> values) const {
  LLMD_ASSERT(values.size() == options_.labels.size(), "a series has a value for every label");
  std::vector<Label> labels;
  for (std::size_t i = 0; i < values.size(); ++i) {
    labels.push_back({options_.labels[i], values[i]});
  }
  return label_text(labels);
}

template <typename Metric>
std::shared_ptr<Metric> Family<Metric>::with(std::span<const std::string_view> values) {
  const std::string key = key_of(values);
  const std::lock_guard lock(mutex_);
  const auto found = series_.find(key);
  if (found != series_.end()) {
    return found->second;
  }
  if (series_.size() < options_.max_series) {
    return series_.emplace(key, make()).first->second;
  }
  if (!overflow_) {
    const std::vector<std::string_view> others(values.size(), "other");
    overflow_ = series_.emplace(key_of(others), make()).first->second;
  }
  return overflow_;
}

template <typename Metric>
std::shared_ptr<Metric> Family<Metric>::with(std::initializer_list<std::string_view> values) {
  return with(std::span(values.begin(), values.size()));
}

template <typename Metric>
void Family<Metric>::remove(std::initializer_list<std::string_view> values) {
  const std::string key = key_of(std::span(values.begin(), values.size()));
  const std::lock_guard lock(mutex_);
  series_.erase(key);
}

template <typename Metric>
void Family<Metric>::write(TextWriter& writer) const {
  const std::lock_guard lock(mutex_);
  writer.family(options_.name, options_.help, kTypeOf<Metric>);
  for (const auto& [labels, metric] : series_) {
    if constexpr (std::is_same_v<Metric, Histogram>) {
      writer.histogram(options_.name, labels, metric->bounds(), metric->snapshot());
    } else {
      writer.sample(options_.name, labels, metric->value());
    }
  }
}

template <typename Metric>
Family<Metric>& Registry::family(FamilyOptions options) {
  const std::string name = options.name;
  auto made = std::make_unique<Family<Metric>>(std::move(options));
  Family<Metric>& family = *made;
  const std::lock_guard lock(mutex_);
  const bool is_new = families_.emplace(name, std::move(made)).second;
  LLMD_ASSERT(is_new, "a metric is registered once");
  writers_.emplace_back([&family](TextWriter& writer) { family.write(writer); });
  return family;
}

template <typename Metric>
Metric& Registry::single(FamilyOptions options) {
  return *family<Metric>(std::move(options)).with({});
}

Counter& Registry::counter(std::string name, std::string help) {
  return single<Counter>({.name = std::move(name), .help = std::move(help)});
}
Gauge& Registry::gauge(std::string name, std::string help) {
  return single<Gauge>({.name = std::move(name), .help = std::move(help)});
}
Histogram& Registry::histogram(std::string name, std::string help, std::span<const double> bounds) {
  return single<Histogram>(
      {.name = std::move(name), .help = std::move(help), .bounds = {bounds.begin(), bounds.end()}});
}
Family<Counter>& Registry::counters(std::string name, std::string help, std::vector<std::string> labels) {
  return family<Counter>({.name = std::move(name), .help = std::move(help), .labels = std::move(labels)});
}
Family<Gauge>& Registry::gauges(std::string name, std::string help, std::vector<std::string> labels) {
  return family<Gauge>({.name = std::move(name), .help = std::move(help), .labels = std::move(labels)});
}
Family<Histogram>& Registry::histograms(std::string name, std::string help, std::vector<std::string> labels,
                                        std::span<const double> bounds) {
  return family<Histogram>({.name = std::move(name),
                            .help = std::move(help),
                            .labels = std::move(labels),
                            .bounds = {bounds.begin(), bounds.end()}});
}

void Registry::on_write(std::function<void(TextWriter&)> writer) {
  const std::lock_guard lock(mutex_);
  writers_.push_back(std::move(writer));
}

std::string Registry::write_text() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  text.reserve(std::size_t{64} << 10);
  TextWriter writer(text);
  for (const auto& write : writers_) {
    write(writer);
  }
  return text;
}

template class Family<Counter>;
template class Family<Gauge>;
template class Family<Histogram>;
template Family<Counter>& Registry::family(FamilyOptions);
template Family<Gauge>& Registry::family(FamilyOptions);
template Family<Histogram>& Registry::family(FamilyOptions);

}  // namespace llmd::metrics
