#include "metrics/text_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/strings.h"

namespace llmd::metrics {
namespace {

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == ':';
}

std::string_view take_name(std::string_view& line) {
  std::size_t size = 0;
  while (size < line.size() && is_name_character(line[size])) {
    ++size;
  }
  const std::string_view name = line.substr(0, size);
  line.remove_prefix(size);
  return name;
}

void skip_blanks(std::string_view& line) {
  while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) {
    line.remove_prefix(1);
  }
}

std::string_view take_word(std::string_view& line) {
  skip_blanks(line);
  const std::string_view word = line.substr(0, line.find_first_of(" \t"));
  line.remove_prefix(word.size());
  return word;
}

std::optional<double> read_value(std::string_view word) {
  if (word.starts_with('+')) {
    word.remove_prefix(1);
  }
  double value = 0;  // from_chars knows inf, infinity and nan in any case
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (word.empty() || end != word.data() + word.size()) {
    return std::nullopt;
  }
  if (error == std::errc::result_out_of_range) {
    return std::strtod(std::string(word).c_str(), nullptr);
  }
  return error == std::errc() ? std::optional(value) : std::nullopt;
}

bool has_labels(const Exposition::Series& series, Exposition::Labels wanted) {
  return std::ranges::all_of(wanted, [&](const auto& label) {
    return std::ranges::any_of(series.labels, [&](const auto& have) {
      return have.first == label.first && have.second == label.second;
    });
  });
}

std::string unescape_help(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == 'n' || text[i + 1] == '\\')) {
      out += text[++i] == 'n' ? '\n' : '\\';
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

std::string_view TextReader::Sample::label(std::string_view label_name) const {
  for (const Label& candidate : labels) {
    if (candidate.name == label_name) {
      return candidate.value;
    }
  }
  return {};
}

Error TextReader::at_line(std::string_view problem) const {
  return invalid_argument("line {}: {}", line_number_, problem);
}

Result<std::string_view> TextReader::read_quoted(std::string_view& line) {
  line.remove_prefix(1);
  const std::size_t stop = line.find_first_of("\"\\");
  if (stop == std::string_view::npos) {
    return at_line("a label value has no closing quote");
  }
  if (line[stop] == '"') {
    const std::string_view value = line.substr(0, stop);
    line.remove_prefix(stop + 1);
    return value;
  }
  std::string value;
  while (!line.empty() && line.front() != '"') {
    char c = line.front();
    line.remove_prefix(1);
    if (c == '\\' && !line.empty()) {
      c = line.front() == 'n' ? '\n' : line.front();
      line.remove_prefix(1);
    }
    value += c;
  }
  if (line.empty()) {
    return at_line("a label value has no closing quote");
  }
  line.remove_prefix(1);
  return unescaped_.emplace_back(std::move(value));
}

Result<void> TextReader::read_labels(std::string_view& line) {
  line.remove_prefix(1);
  while (true) {
    skip_blanks(line);
    if (line.starts_with('}')) {
      line.remove_prefix(1);
      return {};
    }
    const std::string_view name = take_name(line);
    skip_blanks(line);
    if (name.empty() || !line.starts_with('=')) {
      return at_line("expected label=\"value\"");
    }
    line.remove_prefix(1);
    skip_blanks(line);
    if (!line.starts_with('"')) {
      return at_line("a label value must be in quotes");
    }
    LLMD_TRY(const std::string_view value, read_quoted(line));
    sample_.labels.push_back({name, value});
    skip_blanks(line);
    if (line.starts_with(',')) {
      line.remove_prefix(1);
    } else if (!line.starts_with('}')) {
      return at_line("expected , or } after a label");
    }
  }
}

Result<const TextReader::Sample*> TextReader::next() {
  while (!rest_.empty()) {
    const std::size_t end = rest_.find('\n');
    std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    ++line_number_;
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    skip_blanks(line);
    if (line.empty() || line.front() == '#') {
      continue;
    }
    sample_.labels.clear();
    unescaped_.clear();
    unescaped_.reserve(line.size() / 4 + 1);  // labels take four characters at least: the views stay valid
    sample_.name = take_name(line);
    if (sample_.name.empty()) {
      return at_line("expected a metric name");
    }
    skip_blanks(line);
    if (line.starts_with('{')) {
      LLMD_TRY_VOID(read_labels(line));
    }
    const auto value = read_value(take_word(line));
    if (!value) {
      return at_line("expected a number");
    }
    sample_.value = *value;  // a timestamp or an exemplar may follow; nobody here needs them
    return &sample_;
  }
  return nullptr;
}

std::optional<double> Exposition::value(std::string_view name, Labels labels) const {
  for (const Series& candidate : series) {
    if (candidate.name == name && has_labels(candidate, labels)) {
      return candidate.value;
    }
  }
  return std::nullopt;
}

double Exposition::sum(std::string_view name, Labels labels) const {
  double total = 0;
  for (const Series& candidate : series) {
    if (candidate.name == name && has_labels(candidate, labels)) {
      total += candidate.value;
    }
  }
  return total;
}

const Exposition::Metadata* Exposition::family(std::string_view name) const {
  const auto found = std::ranges::find(families, name, &Metadata::name);
  return found == families.end() ? nullptr : &*found;
}

Result<Exposition> parse_exposition(std::string_view text) {
  Exposition exposition;
  const auto metadata = [&exposition](std::string_view name) -> Exposition::Metadata& {
    const auto found = std::ranges::find(exposition.families, name, &Exposition::Metadata::name);
    if (found != exposition.families.end()) {
      return *found;
    }
    return exposition.families.emplace_back(Exposition::Metadata{.name = std::string(name)});
  };
  for (std::string_view line : split(text, '\n')) {
    if (line.starts_with("# HELP ")) {
      line.remove_prefix(7);
      const std::string_view name = take_word(line);
      metadata(name).help = unescape_help(line.empty() ? line : line.substr(1));
    } else if (line.starts_with("# TYPE ")) {
      line.remove_prefix(7);
      const std::string_view name = take_word(line);
      metadata(name).type = trim(line);
    }
  }
  TextReader reader(text);
  while (true) {
    LLMD_TRY(const TextReader::Sample* sample, reader.next());
    if (!sample) {
      return exposition;
    }
    Exposition::Series& series = exposition.series.emplace_back();
    series.name = sample->name;
    series.value = sample->value;
    for (const Label& label : sample->labels) {
      series.labels.emplace_back(label.name, label.value);
    }
  }
}

}  // namespace llmd::metrics
