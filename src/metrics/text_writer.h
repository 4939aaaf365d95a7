// Writes Prometheus' text format 0.0.4. Registry uses it; use it directly for numbers that are not kept in a
// registry.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "metrics/metric.h"

namespace llmd::metrics {

inline constexpr std::string_view kTextContentType = "text/plain; version=0.0.4; charset=utf-8";

enum class Type { Counter, Gauge, Histogram, Summary, Untyped };
std::string_view to_string(Type type);

struct Label {
  std::string_view name;
  std::string_view value;
};

class TextWriter {
 public:
  explicit TextWriter(std::string& out) : out_(out) {}

  // Starts a family: the HELP and TYPE lines.
  void family(std::string_view name, std::string_view help, Type type);
  // One line; the name may carry a suffix such as _total. `labels` is what label_text made.
  void sample(std::string_view name, std::string_view labels, double value);
  // The _bucket, _sum and _count lines of one histogram.
  void histogram(std::string_view name, std::string_view labels, std::span<const double> bounds,
                 const Histogram::Snapshot& snapshot);

 private:
  std::string& out_;
};

// a="x",b="y": without braces, values escaped; made once and kept by those who write often.
std::string label_text(std::span<const Label> labels);
void append_number(std::string& out, double value);  // 12, 0.5, +Inf, NaN

}  // namespace llmd::metrics
