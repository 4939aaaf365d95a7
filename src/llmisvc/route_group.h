// Services that share traffic (spec.router.route.group and weight): each one's route names all members by
// weight.
#pragma once

#include <string>

#include "json/value.h"
#include "llmisvc/facts.h"
#include "llmisvc/service.h"

namespace llmd::llmisvc {

// spec.router.route.group; empty when the service is in none.
std::string routing_group(const Service& service);

// In `rules` of the service's HTTPRoute, gives every rule that leads to the service the backends of all
// members, except the rules under its own path /<namespace>/<name>: those stay its own.
void add_group_backends(json::Array& rules, const Service& service, const Facts& facts);

}  // namespace llmd::llmisvc
