#include "picker/metrics/page.h"

namespace llmd::picker {

Page::Family& Page::family(std::string_view name, std::string_view help, metrics::Type type) {
  const auto [at, is_new] = by_name_.try_emplace(std::string(name), families_.size());
  if (is_new) {
    families_.push_back({std::string(name), std::string(help), type, {}});
  }
  return families_[at->second];
}

void Page::announce(std::string_view name, std::string_view help, metrics::Type type) {
  family(name, help, type);
}

Page::Sample& Page::sample(std::string_view name, std::string_view help, metrics::Type type,
                           LabelText labels) {
  Family& all = family(name, help, type);
  const auto [at, is_new] = all.by_labels.try_emplace(labels.text, all.samples.size());
  if (is_new) {
    all.samples.emplace_back().labels = std::move(labels.text);
  }
  return all.samples[at->second];
}

void Page::add(std::string_view name, std::string_view help, metrics::Type type, LabelText labels,
               double value) {
  sample(name, help, type, std::move(labels)).value += value;
}

void Page::histogram(std::string_view name, std::string_view help, LabelText labels,
                     std::span<const double> bounds, metrics::Histogram::Snapshot snapshot) {
  Sample& into = sample(name, help, metrics::Type::Histogram, std::move(labels));
  into.bounds = bounds;
  into.snapshot.cumulative.resize(bounds.size() + 1);
  for (std::size_t i = 0; i < into.snapshot.cumulative.size() && i < snapshot.cumulative.size(); ++i) {
    into.snapshot.cumulative[i] += snapshot.cumulative[i];
  }
  into.snapshot.sum += snapshot.sum;
}

void Page::write(metrics::TextWriter& writer) const {
  for (const Family& family : families_) {
    writer.family(family.name, family.help, family.type);
    for (const Sample& sample : family.samples) {
      if (family.type == metrics::Type::Histogram) {
        writer.histogram(family.name, sample.labels, sample.bounds, sample.snapshot);
      } else {
        writer.sample(family.name, sample.labels, sample.value);
      }
    }
  }
}

}  // namespace llmd::picker
