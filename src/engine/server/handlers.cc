#include "engine/server/handlers.h"

#include "base/strings.h"
#include "engine/server/json_text.h"
#include "metrics/page_filter.h"
#include "metrics/text_writer.h"

namespace llmd::engine {
namespace {

// One card of GET /v1/models. An empty parent is none; 0 for max_model_len is null.
void write_card(std::string& out, const ServedModel& model, std::string_view id, std::string_view root,
                std::string_view parent, int max_model_len) {
  out += '{';
  add_text(out, "id", id);
  add_text(out, "object", "model");
  add_number(out, "created", model.created);
  add_text(out, "owned_by", model.owned_by);
  add_text(out, "root", root);
  add_key(out, "parent");
  parent.empty() ? void(out += "null") : json::write_quoted_to(out, parent);
  add_key(out, "max_model_len");
  out += max_model_len == 0 ? "null" : std::to_string(max_model_len);
  out += R"(,"permission":[{"id":"modelperm-)";
  out += fmt::format("{:016x}", std::hash<std::string_view>()(id));
  out += fmt::format(
      R"(","object":"model_permission","created":{},"allow_create_engine":false,"allow_sampling":true,)"
      R"("allow_logprobs":true,"allow_search_indices":false,"allow_view":true,"allow_fine_tuning":false,)"
      R"("organization":"*","group":null,"is_blocking":false}}]}})",
      model.created);
}

// Of ?name[]=…&name[]=…, as Prometheus' exporters have it.
std::vector<std::string> asked_names(std::string_view query) {
  std::vector<std::string> names;
  for (const std::string_view each : split(query, '&')) {
    const std::size_t equals = each.find('=');
    if (equals != std::string_view::npos && http::percent_decode(each.substr(0, equals)) == "name[]") {
      names.push_back(http::percent_decode(each.substr(equals + 1)));
    }
  }
  return names;
}

}  // namespace

Result<void> health_of(const Context& context) {
  if (context.engine == nullptr || context.model == nullptr) {
    return unavailable("the model is being loaded");
  }
  return context.engine->health();
}

Task<void> handle_health(Call& call) {
  const Result<void> health = health_of(call.context());
  if (!health) {
    co_return co_await call.text(503, "text/plain; charset=utf-8", health.error().message + "\n");
  }
  co_await call.text(200, "text/plain; charset=utf-8", "");
}

Task<void> handle_version(Call& call) {
  std::string body = "{";
  add_text(body, "version", call.context().settings.version);
  co_await call.json(body + "}");
}

Task<void> handle_load(Call& call) {
  const EngineLoad load = call.context().engine->load();
  co_await call.json(fmt::format(R"({{"server_load":{}}})", load.running + load.waiting));
}

Task<void> handle_metrics(Call& call) {
  const std::vector<std::string> names = asked_names(call.exchange().request().query());
  std::string page = call.context().registry.write_text();
  if (!names.empty()) {
    page = metrics::select_samples(page, names);
  }
  co_await call.text(200, metrics::kTextContentType, page);
}

Task<void> handle_reset_prefix_cache(Call& call) {
  call.context().engine->reset_prefix_cache();
  co_await call.text(200, "text/plain; charset=utf-8", "");
}

Task<void> handle_models(Call& call) {
  const Context& context = call.context();
  const ServedModel& model = *context.model;
  std::string body = R"({"object":"list","data":[)";
  for (const std::string& name : model.names) {
    body += body.back() == '[' ? "" : ",";
    write_card(body, model, name, model.root, "", model.max_model_len);
  }
  for (const auto& adapter : context.adapters.all()) {
    body += ',';
    write_card(body, model, adapter->name, adapter->path, adapter->base_model, 0);
  }
  co_await call.json(body + "]}");
}

}  // namespace llmd::engine
