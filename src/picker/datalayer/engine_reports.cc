#include "picker/datalayer/engine_reports.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "http/message.h"
#include "json/path.h"

namespace llmd::picker {
namespace {

bool is_same(float a, float b) {
  return a == b || (std::isnan(a) && std::isnan(b));
}

}  // namespace

Result<void> check_answer(const http::ResponseHead& head) {
  if (head.status >= 300 && head.status < 400) {
    return unavailable("status {}, which leads to '{}'", head.status,
                       head.headers.find("location").value_or(""))
        .hint("redirects are not followed; give the page's own path and port");
  }
  if (head.status != 200) {
    return unavailable("status {}", head.status);
  }
  const std::string_view encoding = head.headers.find("content-encoding").value_or("");
  if (!encoding.empty() && !equals_ignoring_case(encoding, "identity")) {
    return unimplemented("the page is encoded as '{}', which was not asked for", encoding);
  }
  return {};
}

Result<std::vector<ListedModel>> read_models(std::string_view page) {
  LLMD_TRY(const json::Value document, json::parse(page));
  const auto* list = json::array_at(document, "data");
  if (list == nullptr) {
    return invalid_argument("the answer is no list of models");
  }
  std::vector<ListedModel> models;
  for (const json::Value& item : *list) {
    if (const auto id = json::string_at(item, "id"); id && !id->empty()) {
      models.push_back({std::string(*id), std::string(json::string_at(item, "owned_by").value_or("")),
                        std::string(json::string_at(item, "parent").value_or(""))});
    }
  }
  return models;
}

bool is_empty(const EngineReport& report) {
  return std::isnan(report.waiting) && std::isnan(report.running) && std::isnan(report.kv_usage) &&
         report.custom.empty();
}

bool is_same(const EngineReport& a, const EngineReport& b) {
  return is_same(a.waiting, b.waiting) && is_same(a.running, b.running) && is_same(a.kv_usage, b.kv_usage);
}

bool is_expected(const EngineReport& report, std::int64_t leases) {
  constexpr float kRoomy = 0.5F;
  return report.waiting == 0 && report.kv_usage < kRoomy &&
         std::abs(report.running - static_cast<float>(leases)) <= 1;
}

void add_found(EngineReport& into, EngineReport&& found) {
  const auto keep = [](float& number, float value) { number = std::isnan(value) ? number : value; };
  keep(into.waiting, found.waiting);
  keep(into.running, found.running);
  keep(into.kv_usage, found.kv_usage);
  keep(into.block_tokens, found.block_tokens);
  keep(into.blocks, found.blocks);
  for (std::size_t slot = 0; slot < found.custom.size(); ++slot) {
    keep(into.custom[slot], found.custom[slot]);
  }
  if (found.adapters) {
    into.adapters = std::move(found.adapters);
  }
}

}  // namespace llmd::picker
