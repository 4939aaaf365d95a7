// Page: samples of many pickers gathered by family, because Prometheus wants the lines of one family together
// while pickers and plugins come one after another. Families keep the order in which they were first named.
//
// Samples with the same labels add up: pools and plugins that share a name share a line.
//
// A number usually has a current name and, for dashboards that were made for an earlier llm-d, an older one.
// Private to picker and extproc. One thread.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "metrics/text_writer.h"

namespace llmd::picker {

// The labels of one sample, as they stand on the page.
struct LabelText {
  LabelText(std::initializer_list<metrics::Label> labels)
      : text(metrics::label_text({labels.begin(), labels.size()})) {}
  explicit LabelText(std::string made) : text(std::move(made)) {}
  std::string text;
};

class Page {
 public:
  void gauge(std::string_view name, std::string_view help, LabelText labels, double value) {
    add(name, help, metrics::Type::Gauge, std::move(labels), value);
  }
  void counter(std::string_view name, std::string_view help, LabelText labels, double value) {
    add(name, help, metrics::Type::Counter, std::move(labels), value);
  }
  // `bounds` outlive the page.
  void histogram(std::string_view name, std::string_view help, LabelText labels,
                 std::span<const double> bounds, metrics::Histogram::Snapshot snapshot);
  // The family stands on the page even without samples.
  void announce(std::string_view name, std::string_view help, metrics::Type type);

  void write(metrics::TextWriter& writer) const;

 private:
  struct Sample {
    std::string labels;
    double value = 0;
    std::span<const double> bounds;
    metrics::Histogram::Snapshot snapshot;
  };
  struct Family {
    std::string name;
    std::string help;
    metrics::Type type = metrics::Type::Gauge;
    std::vector<Sample> samples;
    std::unordered_map<std::string, std::size_t> by_labels;
  };
  Sample& sample(std::string_view name, std::string_view help, metrics::Type type, LabelText labels);
  Family& family(std::string_view name, std::string_view help, metrics::Type type);
  void add(std::string_view name, std::string_view help, metrics::Type type, LabelText labels, double value);

  std::vector<Family> families_;
  std::unordered_map<std::string, std::size_t> by_name_;
};

}  // namespace llmd::picker
