// The parts render() is made of; each appends its objects.
#pragma once

#include <vector>

#include "base/result.h"
#include "json/value.h"
#include "llmisvc/facts.h"
#include "llmisvc/service.h"

namespace llmd::llmisvc {

using Objects = std::vector<json::Object>;

Result<void> render_workloads(const Service& service, const Facts& facts, Objects& objects);
void render_services(const Service& service, const Facts& facts, Objects& objects);
Result<void> render_scheduler(const Service& service, const Facts& facts, Objects& objects);
void render_scaling(const Service& service, const Facts& facts, Objects& objects);
void render_monitors(const Service& service, const Facts& facts, Objects& objects);
void render_routes(const Service& service, const Facts& facts, Objects& objects);

// ServiceAccount, Role and RoleBinding of a pod that reads pods and pools.
void render_reader_account(const Service& service, const Facts& facts, std::string_view suffix,
                           bool with_role, std::string_view account, Objects& objects);

}  // namespace llmd::llmisvc
