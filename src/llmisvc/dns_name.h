// Names that can be part of a host name.
#pragma once

#include <string>
#include <string_view>

namespace llmd::llmisvc {

// Lower case letters, digits and '-', at most 63, the first one a letter.
bool is_dns_label(std::string_view name);

// What the name could have been: lower case, runs of other characters as one dash, at most 63.
std::string repaired_name(std::string_view name);

}  // namespace llmd::llmisvc
