// Reads Prometheus' text format (and what OpenMetrics adds: # EOF, # UNIT, exemplars, which are skipped).
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "metrics/text_writer.h"

namespace llmd::metrics {

// One line after the other without allocation for ordinary lines: for scrapers, which want four numbers out
// of 100 KB. The text must outlive the reader; a sample is valid until the next call.
class TextReader {
 public:
  explicit TextReader(std::string_view text) : rest_(text) {}

  struct Sample {
    std::string_view name;
    std::vector<Label> labels;
    double value = 0;

    // The value of a label, empty when absent.
    std::string_view label(std::string_view label_name) const;
  };
  // The next sample; null at the end. InvalidArgument "line 7: …" for a line that is none.
  Result<const Sample*> next();

 private:
  Result<void> read_labels(std::string_view& line);
  Result<std::string_view> read_quoted(std::string_view& line);
  Error at_line(std::string_view problem) const;

  std::string_view rest_;
  std::size_t line_number_ = 0;
  Sample sample_;
  std::vector<std::string> unescaped_;  // owns label values that contained a backslash
};

// A whole page, for tests and tools.
struct Exposition {
  struct Series {
    std::string name;
    std::vector<std::pair<std::string, std::string>> labels;  // in the order of the page
    double value = 0;
  };
  struct Metadata {
    std::string name;
    std::string help;
    std::string type;
  };
  std::vector<Series> series;
  std::vector<Metadata> families;

  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;
  // The first series of the name that has at least these labels.
  std::optional<double> value(std::string_view name, Labels labels = {}) const;
  // The sum over all of them.
  double sum(std::string_view name, Labels labels = {}) const;
  const Metadata* family(std::string_view name) const;
};
Result<Exposition> parse_exposition(std::string_view text);

}  // namespace llmd::metrics
