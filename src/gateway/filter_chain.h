// Applies the filters of a rule and of the chosen backend to one request. Pure; private to gateway.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "gateway/filters.h"

namespace llmd::gateway {

// The rule's filters come first; the backend's may be null.
using FilterChain = std::array<const Filters*, 2>;

// What the gateway answers by itself: a redirect, or a CORS preflight.
std::optional<http::ResponseHead> answer_of(const Filters& rule, const http::RequestHead& request,
                                            std::string_view matched_prefix, std::string_view scheme,
                                            int listener_port);

void apply_to_request(const FilterChain& chain, std::string_view matched_prefix, http::RequestHead& request);

// The mirrors that get a copy of this request.
std::vector<const Mirror*> chosen_mirrors(const FilterChain& chain, unsigned turn);

// Empty when nothing is to be changed. The filters and `request` outlive the result.
std::function<void(http::ResponseHead&)> response_edits(const FilterChain& chain,
                                                        const http::RequestHead& request);

}  // namespace llmd::gateway
