// Every code that a finding can have: stable, so that tools may rely on them. docs/reference/findings.md is
// generated from this table.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "llmisvc/finding.h"

namespace llmd::llmisvc {

struct FindingCode {
  std::string_view code;
  std::string_view severity;  // "error", "warning", "error or warning", ...
  std::string_view meaning;
};

std::span<const FindingCode> finding_codes();  // sorted by code

// The page under docs/reference.
std::string finding_codes_page();

}  // namespace llmd::llmisvc
