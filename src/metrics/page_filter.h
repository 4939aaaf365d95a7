// A part of a Prometheus page, as exporters give it for ?name[]=. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace llmd::metrics {

// The samples whose own name (foo_bucket) or family (foo) is listed, each with its family's HELP and TYPE.
std::string select_samples(std::string_view page, std::span<const std::string> names);

}  // namespace llmd::metrics
