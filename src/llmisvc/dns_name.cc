#include "llmisvc/dns_name.h"

#include <algorithm>

#include "base/strings.h"

namespace llmd::llmisvc {
namespace {

constexpr std::size_t kLongest = 63;

bool is_kept(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

}  // namespace

bool is_dns_label(std::string_view name) {
  return !name.empty() && name.size() <= kLongest &&
         std::ranges::all_of(name, [](char c) { return is_kept(c) || c == '-'; }) && name.front() >= 'a' &&
         name.front() <= 'z' && name.back() != '-';
}

std::string repaired_name(std::string_view name) {
  std::string result;
  for (const char c : to_lower(name)) {
    if (is_kept(c) || (!result.empty() && result.back() != '-')) {
      result += is_kept(c) ? c : '-';
    }
  }
  if (result.empty() || (result.front() >= '0' && result.front() <= '9')) {
    result = "m-" + result;
  }
  result.resize(std::min(result.size(), kLongest));
  while (result.ends_with('-')) {
    result.pop_back();
  }
  return result;
}

}  // namespace llmd::llmisvc
