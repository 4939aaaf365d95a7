// The part of an exchange that understands the request and decides.
#include "base/strings.h"
#include "extproc/exchange.h"
#include "extproc/grpc_bodies.h"
#include "json/value.h"
#include "openai/media_items.h"
#include "picker/plan.h"
#include "picker/plugins/parsers.h"

namespace llmd::extproc {
namespace {

using envoy::HeaderFieldView;

// What llm-d's parsers say of a request without a prompt; empty: that path needs none.
std::string_view missing_prompt(std::string_view path) {
  static constexpr std::pair<std::string_view, std::string_view> kPaths[] = {
      {"/chat/completions", "invalid chat completions request: must have valid messages field"},
      {"/completions", "invalid completions request: must have prompt field"},
      {"/conversations", "invalid conversations request: must have items field"},
      {"/embeddings", "invalid embeddings request: must have input field"},
      {"/images/generations", "invalid images request: must have prompt field"},
      {"/responses", "invalid responses request: must have input field"},
      {"/messages", "invalid messages request: must have messages field"},
      {"/inference/v1/generate", "invalid generate request: must have token_ids field"},
      {"/generate", "invalid generate request: must have input_ids field"},
  };
  for (const auto& [suffix, message] : kPaths) {
    if (path.ends_with(suffix)) {
      return message;
    }
  }
  return {};
}

}  // namespace

// Of a call whose first message has the request in it. False: it has been refused.
bool Exchange::read_call(std::string_view parser) {
  const std::string_view body = body_.joined();
  std::string made;
  Result<std::string_view> request = std::string_view();
  if (parser == "vertexai-parser") {
    request = read_http_body(body);
  } else if (parser == "vllmgrpc-parser") {
    auto read = read_engine_request(body);
    request = read ? Result<std::string_view>(made = std::move(*read)) : std::unexpected(read.error());
    if (path().ends_with("/Generate")) {
      usage_.expect_engine_answers();
    }
  } else {
    return true;
  }
  if (!request) {
    reject(400, "BadRequest", request.error().message);
    return false;
  }
  scan_ = openai::RequestScan();
  scan_.feed(*request);
  scan_.finish();
  if (scan_.multimodal()) {
    find_media(*request);
  }
  return true;
}

// `scanned`: what the scan has read.
void Exchange::find_media(std::string_view scanned) {
  const auto hints =
      openai::read_video_hints(headers_.find("x-llm-d-video-duration-seconds"),
                               headers_.find("x-llm-d-video-fps"), headers_.find("x-llm-d-video-resolution"));
  media_ = openai::media_items(scan_, scanned, pool_->picker->plan().media, hints);
}

// A request in tokens says itself where its media stand, as a rendered one does.
void Exchange::read_features() {
  if (auto read = Renderer::read(body_.joined())) {
    rendered_ = std::move(*read);
    placed_media_ = rendered_.placed();
  }
}

bool Exchange::refuse_body() {
  const bool incomplete = body_.last_visible() != '}';
  reject(400, "BadRequest",
         fmt::format("error unmarshaling request bodyMap: {}",
                     incomplete ? "unexpected end of JSON input" : "not one JSON object"));
  return false;
}

// What the parser for the path asks of a body. False: the request has been refused.
bool Exchange::understand_body() {
  const picker::Parser* parser = picker::parser_for(pool_->picker->plan().parsers, path());
  if (parser == nullptr) {
    reject(400, "BadRequest", fmt::format("no parser claims the path '{}'", path()));
    return false;
  }
  model_added_ = model_added_ && parser->dialect.model;
  if (parser->dialect.json && !is_json_) {
    return refuse_body();
  }
  if (!parser->dialect.json && !is_json_ && parser->reads(path()) && !read_call(parser->dialect.type)) {
    return false;
  }
  if (parser->dialect.model && !has_model()) {
    return false;
  }
  const std::string_view missing =
      parser->dialect.json && scan_.prompt_bytes() == 0 ? missing_prompt(path()) : std::string_view();
  if (!missing.empty()) {
    reject(400, "BadRequest", std::string(missing));
    return false;
  }
  if (parser->dialect.type == "sglanghttp-parser") {
    usage_.expect_meta_info();
  }
  return true;
}

// A rewrite may have named the model that the client left out. False: the request has been refused.
bool Exchange::has_model() {
  if (!scan_.model() && !model_added_) {
    reject(400, "BadRequest", "model not found in request body");
    return false;
  }
  return true;
}

std::string_view Exchange::path() const {
  for (const std::string_view name : {":path", "x-original-path", "x-forwarded-path"}) {
    if (const auto found = headers_.find(name); found && !found->empty()) {
      return found->substr(0, found->find('?'));
    }
  }
  return {};
}

picker::Request Exchange::describe() {
  picker::Request request;
  request.id =
      request_id_.empty() ? headers_.find("x-request-id").value_or("") : std::string_view(request_id_);
  request.headers = picker::HeaderView(headers_);
  request.path = path();
  request.model = scan_.model() ? std::string_view(*scan_.model()) : std::string_view();
  request.target_model = target_model_;
  request.received = received_;
  request.stream = scan_.stream();
  request.objective =
      headers_.find("x-llm-d-inference-objective", "x-gateway-inference-objective").value_or("");
  request.fairness_id = headers_.find("x-llm-d-inference-fairness-id", "x-gateway-inference-fairness-id")
                            .value_or(picker::kDefaultFairnessId);
  if (rules_) {
    const auto found = rules_->priorities.find(request.objective);
    request.priority = found == rules_->priorities.end() ? 0 : found->second;
  }
  request.body_bytes = body_.size();
  request.prompt_bytes = scan_.prompt_bytes();
  request.prompt_units = scan_.prompt_units();
  request.estimated_tokens = openai::estimated_tokens(scan_, media_);
  request.cache_salt = scan_.cache_salt() ? std::string_view(*scan_.cache_salt()) : std::string_view();
  request.tokens = rendered_.tokens.empty() ? scan_.tokens() : rendered_.tokens;
  request.placed_media = placed_media_;
  request.max_tokens = scan_.max_tokens().value_or(0);
  request.multimodal = scan_.multimodal() || !placed_media_.empty();
  request.media = media_;
  request.explain = headers_.find("x-llmd-explain").value_or("") == "1";
  subset_.clear();
  if (auto texts =
          envoy::metadata_texts(metadata_, "envoy.lb.subset_hint", "x-gateway-destination-endpoint-subset")) {
    for (const std::string_view text : *texts) {  // a list, or one text with commas
      for (const std::string_view each : split(text, ',')) {
        subset_.push_back(trim(each));
      }
    }
    request.subset = subset_;
  }
  return request;
}

void Exchange::decide() {
  {
    const ParseTimer timer(measured_ > 0 ? &request_parsing_ : nullptr);
    is_json_ = scan_.finish();
  }
  if (!choose_pool() || !understand_body()) {
    return;
  }
  if (measured_ > 0) {
    pool_->picker->parsed(picker::Picker::Parsed::Request, path(), request_parsing_, measured_);
  }
  if (is_json_ && scan_.multimodal()) {
    find_media(body_.joined());
  }
  if (is_json_ && scan_.has_features() && !scan_.tokens().empty()) {
    read_features();
  }
  step_ = Step::Deciding;
  if (spans_.sampled()) {
    spans_.begin_deciding(describe());
  }
  if (pool_->picker->waits() || asks_for_tokens() != nullptr) {
    gone_ = std::make_unique<async::Event>(call_->executor());
    call_->tasks().spawn("ext_proc decision", decide_later(shared_from_this()));
  } else {
    decided(pool_->picker->pick(describe(), {}, spans_.parent()));
  }
}

void Exchange::decide_by_headers() {
  if (lists_models()) {
    send_model_list();
  } else if (choose_pool()) {
    step_ = Step::Deciding;
    if (spans_.sampled()) {
      spans_.begin_deciding(describe());
    }
    decided(pool_->picker->pick_any(describe()));
  }
}

Task<picker::PickResult<picker::Decision>> Exchange::find_endpoint(std::shared_ptr<Exchange> self) {
  co_await render(self);
  co_return co_await self->pool_->picker->decide(self->describe(), async::Deadline::never(),
                                                 self->spans_.parent());
}

Task<void> Exchange::decide_later(std::shared_ptr<Exchange> self) {
  auto result = co_await async::unless(self->gone_->wait(), find_endpoint(self));
  if (!result || self->call_ == nullptr || self->step_ == Step::Done) {
    co_return;
  }
  http::GrpcCall& call = *self->call_;
  self->decided(std::move(*result));
  call.flush();
}

void Exchange::decided(picker::PickResult<picker::Decision> result) {
  if (!result) {
    reject(result.error());
    return;
  }
  decision_.emplace(std::move(*result));
  step_ = Step::Decided;
  spans_.decided(*decision_);
  if (pool_->flow_control && decision_->memory.priority < 0) {
    decision_->on_evicted([weak = weak_from_this(), executor = call_->executor()] {
      async::post_to(executor, [weak] {
        if (const auto alive = weak.lock()) {
          alive->evicted();
        }
      });
    });
  }
  rewrite_model();
  send_decision();
  if (half_closed_) {
    half_closed();
  }
}

// Flow control wants the room back. Too late when the answer has passed to its end.
void Exchange::evicted() {
  if (!decision_ || call_ == nullptr || step_ == Step::Done) {
    return;
  }
  decision_->complete({.cause = picker::EndCause::Evicted, .status = 429, .usage = {}});
  decision_.reset();
  const HeaderFieldView reason{"x-llm-d-request-dropped-reason", picker::reason::kEvicted};
  immediate(429, "request evicted by flow control", {&reason, 1});
  call_->flush();
}

void Exchange::reject(const picker::Rejection& rejection) {
  if (const PoolPtr pool = pool_ ? pool_ : shared_.pools->select({})) {
    pool->picker->refused(describe(), rejection.code);
  }
  std::vector<HeaderFieldView> headers;
  if (!rejection.reason.empty()) {
    headers.emplace_back("x-llm-d-request-dropped-reason", rejection.reason);
  }
  const std::string retry_after = std::to_string(rejection.retry_after);
  if (rejection.retry_after > 0) {
    headers.emplace_back("retry-after", retry_after);
  }
  immediate(rejection.status, rejection.body(), headers);
}

void Exchange::reject(int status, std::string_view code, std::string message) {
  reject(picker::Rejection{.status = status, .code = code, .message = std::move(message)});
}

void Exchange::immediate(int status, std::string_view body, std::span<const HeaderFieldView> headers) {
  spans_.refused(status, body);
  shared_.metrics.immediate.add();
  shared_.answer.clear();
  envoy::append_immediate(shared_.answer, {.status = status, .body = body, .headers = headers});
  send_answer();
  step_ = Step::Done;
  release_body();
  call_->finish({});
}

}  // namespace llmd::extproc
