// The part of an exchange that knows pools, their models and their tokens.
#include <random>

#include "base/log.h"
#include "extproc/exchange.h"
#include "json/value.h"
#include "openai/model_list.h"

namespace llmd::extproc {
namespace {

// How a proxy says which pool it means.
constexpr std::string_view kPoolHeader = "x-llmd-pool";
constexpr std::pair<std::string_view, std::string_view> kPoolMetadata{"llmd", "pool"};

}  // namespace

// False: no pool serves the request, and it has been refused.
bool Exchange::choose_pool() {
  const std::string_view model = scan_.model() ? std::string_view(*scan_.model()) : std::string_view();
  pool_ = shared_.pools->only();
  if (!pool_) {
    const auto said = envoy::metadata_texts(metadata_, kPoolMetadata.first, kPoolMetadata.second);
    const std::string_view name =
        said && !said->empty() ? said->front() : headers_.find(kPoolHeader).value_or("");
    pool_ = shared_.pools->select({name, headers_.find(":authority").value_or(""), model});
    if (!pool_ && model.empty() && name.empty() && !headers_only_) {
      return is_json_ ? has_model() : refuse_body();
    }
    if (!pool_) {
      reject(404, "NotFound",
             name.empty() ? fmt::format("no pool serves the model '{}'", model)
                          : fmt::format("there is no pool '{}'", name));
      return false;
    }
  }
  rules_ = pool_->rules.load();
  target_model_ = headers_.find("x-llm-d-model-name-rewrite", "x-gateway-model-name-rewrite").value_or("");
  if (!rules_->rewrites.empty() && is_json_) {
    const double draw = std::uniform_real_distribution<double>(0, 1)(shared_.random);
    if (const auto match = rules_->rewrites.find(model, draw)) {
      target_model_ = match->target;
      model_added_ = !scan_.model();
      shared_.metrics.rewritten(match->rewrite, model, match->target);
    }
  }
  return true;
}

// With several pools no endpoint's own list has all models: the picker answers itself, unless the proxy says
// which pool it means.
bool Exchange::lists_models() {
  const std::string_view method = headers_.find(":method").value_or("GET");
  return method == "GET" && path().ends_with("/v1/models") && !shared_.pools->only() &&
         headers_.find(kPoolHeader).value_or("").empty() &&
         !envoy::metadata_texts(metadata_, kPoolMetadata.first, kPoolMetadata.second) &&
         !shared_.pools->names_host(headers_.find(":authority").value_or(""));
}

void Exchange::send_model_list() {
  const std::string list = openai::write_model_list(shared_.pools->models());
  const envoy::HeaderFieldView type{"content-type", "application/json"};
  immediate(200, list, {&type, 1});
}

// Null: they are estimated, or in the request.
Renderer* Exchange::asks_for_tokens() {
  const bool could = is_json_ && scan_.tokens().empty() && Renderer::renders(path());
  return could ? shared_.renderers.of(pool_) : nullptr;
}

// Without tokens the request goes on: its cached prefix is then unknown.
Task<void> Exchange::render(std::shared_ptr<Exchange> self) {
  Renderer* const renderer = self->asks_for_tokens();
  if (renderer == nullptr) {
    co_return;
  }
  trace::Span span = self->spans_.begin_rendering(self->path());
  const std::string context = span.sampled() ? trace::format_traceparent(span.context()) : std::string();
  auto rendered =
      co_await renderer->render(self->path(), self->body_.joined(), self->scan_.multimodal(), context);
  if (rendered) {
    self->rendered_ = std::move(*rendered);
    self->placed_media_ = self->rendered_.placed();
  } else {
    span.fail(rendered.error().text());
    self->shared_.metrics.unrendered.add();
    log::debug("a request was not rendered", {{"problem", rendered.error().text()}});
  }
}

// The engine is asked for the target model: only that value changes in the body.
void Exchange::rewrite_model() {
  const std::string target(target_model_);
  if (target.empty() || target == scan_.model().value_or("") || !is_json_) {
    return;
  }
  std::string quoted;
  json::write_quoted_to(quoted, target);
  if (model_added_) {
    add_model(quoted);
    return;
  }
  if (!scan_.model_position()) {
    return;
  }
  const auto position = *scan_.model_position();
  shared_.held -= body_.size();
  body_.replace(position.begin, position.end, quoted);
  shared_.held += body_.size();
  body_changed_ = true;
}

// As the last member, which counts where the client gave one that is no text.
void Exchange::add_model(std::string_view quoted) {
  const std::string_view text = body_.joined();
  const std::size_t end = text.rfind('}');
  const std::size_t before = text.find_last_not_of(" \t\r\n", end - 1);
  const std::string member = fmt::format("{}\"model\":{}", text[before] == '{' ? "" : ",", quoted);
  shared_.held -= body_.size();
  body_.replace(end, end, member);
  shared_.held += body_.size();
  body_changed_ = true;
}

// Answers name the model as the client did: `"model":"TARGET"`, the way engines write it, is put back where
// it stands in one piece. False: it does not stand there.
bool Exchange::restore_model(std::string_view body, std::string& restored) const {
  if (!body_changed_ || model_added_) {
    return false;
  }
  std::string from;
  std::string to;
  json::write_quoted_to(from, target_model_);
  json::write_quoted_to(to, *scan_.model());
  for (const std::string_view name : {"\"model\":", "\"model\": "}) {
    const std::string wanted = std::string(name) + from;
    std::size_t at = body.find(wanted);
    if (at == std::string_view::npos) {
      continue;
    }
    std::size_t done = 0;
    for (; at != std::string_view::npos; at = body.find(wanted, done)) {
      restored.append(body.substr(done, at - done)).append(name).append(to);
      done = at + wanted.size();
    }
    restored += body.substr(done);
    return true;
  }
  return false;
}

}  // namespace llmd::extproc
