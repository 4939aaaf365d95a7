// What one question to an endpoint brings: pages as reports, and what can be said of a report. Pure. Private
// to the scraper.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "picker/endpoint.h"

namespace llmd::http {
struct ResponseHead;
}

namespace llmd::picker {

// An answer that holds a page as it can be read: 200, and neither compressed nor otherwise encoded.
Result<void> check_answer(const http::ResponseHead& head);
// The list under /v1/models. Items that are none are passed over.
Result<std::vector<ListedModel>> read_models(std::string_view page);

// None of the numbers that decisions go by.
bool is_empty(const EngineReport& report);
// The same load.
bool is_same(const EngineReport& a, const EngineReport& b);
// Nothing that the leases do not say: one request may be on its way in or out.
bool is_expected(const EngineReport& report, std::int64_t leases);
// What one scanner has found and another has not.
void add_found(EngineReport& into, EngineReport&& found);

}  // namespace llmd::picker
