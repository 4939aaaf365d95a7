// Names of the objects that belong to a service, never longer than a DNS label and equal to those KServe
// gives.
#pragma once

#include <string>
#include <string_view>

namespace llmd::llmisvc {

// parent + suffix where that fits into 63 characters; else the parent is cut and its MD5 put between.
std::string child_name(std::string_view parent, std::string_view suffix);

}  // namespace llmd::llmisvc
