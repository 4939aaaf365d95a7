#include "metrics/text_writer.h"

#include <array>
#include <charconv>
#include <cmath>

namespace llmd::metrics {
namespace {

void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

void append_braces(std::string& out, std::string_view labels) {
  if (!labels.empty()) {
    out += '{';
    out += labels;
    out += '}';
  }
}

}  // namespace

std::string_view to_string(Type type) {
  static constexpr std::array<std::string_view, 5> kNames{"counter", "gauge", "histogram", "summary",
                                                          "untyped"};
  return kNames[static_cast<std::size_t>(type)];
}

void append_number(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
    return;
  }
  if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
    return;
  }
  std::array<char, 40> buffer;
  // Whole numbers are the common case, and much faster to print as such; past 2^53 they are no longer exact.
  const bool whole = std::abs(value) < 9007199254740992.0 && value == std::trunc(value);
  const auto end =
      whole
          ? std::to_chars(buffer.data(), buffer.data() + buffer.size(), static_cast<std::int64_t>(value)).ptr
          : std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  out.append(buffer.data(), end);
}

std::string label_text(std::span<const Label> labels) {
  std::string text;
  for (const Label& label : labels) {
    if (!text.empty()) {
      text += ',';
    }
    text += label.name;
    text += "=\"";
    append_escaped(text, label.value, true);
    text += '"';
  }
  return text;
}

void TextWriter::family(std::string_view name, std::string_view help, Type type) {
  out_ += "# HELP ";
  out_ += name;
  out_ += ' ';
  append_escaped(out_, help, false);
  out_ += "\n# TYPE ";
  out_ += name;
  out_ += ' ';
  out_ += to_string(type);
  out_ += '\n';
}

void TextWriter::sample(std::string_view name, std::string_view labels, double value) {
  out_ += name;
  append_braces(out_, labels);
  out_ += ' ';
  append_number(out_, value);
  out_ += '\n';
}

void TextWriter::histogram(std::string_view name, std::string_view labels, std::span<const double> bounds,
                           const Histogram::Snapshot& snapshot) {
  for (std::size_t i = 0; i < snapshot.cumulative.size(); ++i) {
    out_ += name;
    out_ += "_bucket{";
    if (!labels.empty()) {
      out_ += labels;
      out_ += ',';
    }
    out_ += "le=\"";
    append_number(out_, i < bounds.size() ? bounds[i] : HUGE_VAL);
    out_ += "\"} ";
    append_number(out_, static_cast<double>(snapshot.cumulative[i]));
    out_ += '\n';
  }
  out_ += name;
  out_ += "_sum";
  append_braces(out_, labels);
  out_ += ' ';
  append_number(out_, snapshot.sum);
  out_ += '\n';
  out_ += name;
  out_ += "_count";
  append_braces(out_, labels);
  out_ += ' ';
  append_number(out_, static_cast<double>(snapshot.count()));
  out_ += '\n';
}

}  // namespace llmd::metrics
