#include "metrics/page_filter.h"

#include <algorithm>
#include <utility>

namespace llmd::metrics {
namespace {

// The word behind "# HELP " or "# TYPE "; empty for other lines.
std::string_view family_of(std::string_view line) {
  if (!line.starts_with("# HELP ") && !line.starts_with("# TYPE ")) {
    return {};
  }
  line.remove_prefix(7);
  return line.substr(0, line.find(' '));
}

}  // namespace

std::string select_samples(std::string_view page, std::span<const std::string> names) {
  const auto wanted = [names](std::string_view name) {
    return std::ranges::find(names, name) != names.end();
  };
  std::string out;
  std::string header;  // of the family, until it has a sample
  std::string_view family;
  while (!page.empty()) {
    const std::size_t end = page.find('\n');
    const std::string_view line = page.substr(0, end);
    page.remove_prefix(end == std::string_view::npos ? page.size() : end + 1);
    if (const std::string_view named = family_of(line); !named.empty()) {
      if (named != family) {
        family = named;
        header.clear();
      }
      header.append(line).append("\n");
    } else if (!line.empty() && !line.starts_with('#') &&
               (wanted(family) || wanted(line.substr(0, line.find_first_of("{ "))))) {
      out.append(std::exchange(header, {})).append(line).append("\n");
    }
  }
  return out;
}

}  // namespace llmd::metrics
