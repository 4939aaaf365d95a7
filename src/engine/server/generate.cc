#include "engine/server/generate.h"

#include <ctime>

#include "base/log.h"
#include "base/strings.h"
#include "engine/server/generation_job.h"
#include "engine/server/inbox.h"
#include "engine/server/prepare.h"

namespace llmd::engine {
namespace {

// Tokenising more than this is left to the worker, so that /health answers meanwhile.
constexpr std::size_t kLongBody = 32 * 1024;

// The sequences of one request. Whoever drops it aborts what still runs: an error, a client that left, a
// shutdown.
class Running {
 public:
  explicit Running(Engine& engine) : engine_(engine) {}
  Running(const Running&) = delete;
  ~Running() {
    for (const SequenceId id : ids_) {
      engine_.abort(id);
    }
  }
  void add(SequenceId id) { ids_.push_back(id); }
  void all_finished() { ids_.clear(); }

 private:
  Engine& engine_;
  std::vector<SequenceId> ids_;
};

// Watches the client as long as it lives.
class ClientWatch {
 public:
  ClientWatch(http::Exchange& exchange, std::shared_ptr<Inbox> inbox) : exchange_(exchange) {
    exchange_.on_client_gone([inbox = std::move(inbox)] { inbox->close(); });
  }
  ClientWatch(const ClientWatch&) = delete;
  ~ClientWatch() { exchange_.on_client_gone({}); }

 private:
  http::Exchange& exchange_;
};

Task<Api<GenerationJob>> make_job(Call& call, Endpoint endpoint, std::string body) {
  const auto make = endpoint == Endpoint::Chat ? &chat_job : &completion_job;
  const std::shared_ptr<const ServedModel> model = call.context().model;
  if (body.size() < kLongBody) {
    co_return make(body, *model);
  }
  auto work = [make, model, text = std::move(body)]() -> Result<Api<GenerationJob>> {
    return make(text, *model);
  };
  auto job = co_await call.context().worker.run(std::move(work));
  if (!job) {
    co_return std::unexpected(api_error(job.error()));
  }
  co_return std::move(*job);
}

// Starts every sequence of the request, or none.
Api<> submit(Call& call, GenerationJob& job, const SelectedModel& selected, Inbox& inbox, Running& running) {
  static std::uint64_t groups = 0;
  const int n = job.form.choices_per_prompt;
  int index = 0;
  for (const std::vector<Token>& prompt : job.form.prompts) {
    const std::uint64_t group = n > 1 ? ++groups : 0;
    for (int choice = 0; choice < n; ++choice, ++index) {
      GenerationRequest request{.id = call.request_id(), .prompt = prompt, .params = job.params};
      if (request.params.seed) {
        *request.params.seed += static_cast<std::uint64_t>(choice);
      }
      request.group = group;
      request.choices = n;
      request.priority = job.common.priority;
      request.cache_salt = job.common.cache_salt.value_or("");
      request.adapter = selected.adapter;
      request.arrival = call.arrival();
      request.limited = job.limited;
      request.echo = job.echo;
      auto id = call.context().engine->submit(std::move(request), inbox.listener(index));
      if (!id) {
        return std::unexpected(api_error(id.error()));
      }
      running.add(*id);
    }
  }
  return {};
}

// The error that ends the whole request, if one of the updates brings it.
std::optional<ApiError> failure_in(const std::vector<Inbox::Item>& items) {
  for (const Inbox::Item& item : items) {
    if (item.update.finish && item.update.finish->error) {
      return api_error(*item.update.finish->error);
    }
  }
  return std::nullopt;
}

Task<void> answer_whole(Call& call, Inbox& inbox, Answer& answer, Running& running) {
  while (!answer.complete()) {
    std::vector<Inbox::Item> items = co_await inbox.take();
    if (items.empty()) {
      co_return;  // the client has gone
    }
    if (auto failure = failure_in(items)) {
      co_return co_await call.error(std::move(*failure));
    }
    for (Inbox::Item& item : items) {
      answer.add(item.index, std::move(item.update));
    }
  }
  running.all_finished();
  co_await call.json(answer.body());
}

Task<void> answer_stream(Call& call, Inbox& inbox, Answer& answer, Running& running) {
  http::Exchange& exchange = call.exchange();
  std::string events;
  while (!answer.complete()) {
    std::vector<Inbox::Item> items = co_await inbox.take();
    if (items.empty()) {
      co_return;
    }
    if (auto failure = failure_in(items)) {
      if (!exchange.started()) {
        co_return co_await call.error(std::move(*failure));
      }
      events = "data: " + error_body(*failure) + "\n\ndata: [DONE]\n\n";
      co_await exchange.finish(events);
      co_return;
    }
    events.clear();
    for (Inbox::Item& item : items) {
      answer.stream(item.index, std::move(item.update), events);
    }
    if (answer.complete()) {
      running.all_finished();
      answer.stream_end(events);
    }
    if (events.empty()) {
      continue;
    }
    Result<void> sent;
    if (!exchange.started()) {
      sent = co_await call.start_stream(answer.complete() ? std::string_view() : events);
    } else if (!answer.complete()) {
      sent = co_await exchange.write(events);
    }
    if (!sent) {
      co_return;  // the client has gone
    }
  }
  co_await exchange.finish(events);
}

// Simulation: the client may ask for an error by its status.
std::optional<ApiError> requested_error(const Call& call, const http::Exchange& exchange) {
  const auto wanted = exchange.request().headers.find("X-Return-Error");
  if (!wanted) {
    return std::nullopt;
  }
  const auto status = parse_integer(*wanted);
  if (!status || *status < 400 || *status > 599) {
    return ApiError{
        400, "BadRequestError", fmt::format("X-Return-Error: '{}' is not an error status", *wanted), {}};
  }
  const int code = static_cast<int>(*status);
  return ApiError{code,
                  std::string(error_type(code)),
                  fmt::format("error {} as asked for by request {}", code, call.request_id()),
                  {}};
}

// What the generation fails with before it begins, in simulation.
std::optional<ApiError> simulated_failure(Call& call) {
  Context& context = call.context();
  if (!context.simulated) {
    return std::nullopt;
  }
  if (auto error = requested_error(call, call.exchange())) {
    return error;
  }
  return context.failure ? context.failure() : std::nullopt;
}

AnswerForm complete_form(Call& call, const GenerationJob& job, const SelectedModel& selected) {
  const ServerSettings& settings = call.context().settings;
  AnswerForm form = job.form;
  const std::string& id =
      call.client_chose_id() || job.common.request_id.empty() ? call.request_id() : job.common.request_id;
  form.id = (job.endpoint == Endpoint::Chat ? "chatcmpl-" : "cmpl-") + id;
  form.model = selected.name;
  form.created = static_cast<long>(std::time(nullptr));
  form.cached_tokens_in_usage = settings.prompt_tokens_details;
  form.include_usage = form.include_usage || settings.force_include_usage;
  form.tokens_as_ids = form.tokens_as_ids || settings.tokens_as_ids;
  form.stream_interval = settings.stream_interval;
  return form;
}

Task<void> generate(Call& call, Endpoint endpoint) {
  auto body = co_await call.read_body();
  if (!body) {
    co_return;  // the server answers
  }
  Context& context = call.context();
  if (auto failure = simulated_failure(call)) {
    co_return co_await call.error(std::move(*failure));
  }
  auto job = co_await make_job(call, endpoint, std::move(*body));
  if (!job) {
    co_return co_await call.error(job.error());
  }
  auto selected = select_model(*context.model, context.adapters, job->common.model);
  if (!selected) {
    co_return co_await call.error(selected.error());
  }
  if (context.settings.log_requests) {
    log::info("generation", {{"request_id", call.request_id()},
                             {"model", selected->name},
                             {"prompt_tokens", job->form.prompts.front().size()},
                             {"max_tokens", job->params.max_tokens},
                             {"temperature", job->params.temperature}});
  }
  const auto inbox = std::make_shared<Inbox>(context.loop.executor());
  Running running(*context.engine);
  const auto submitted = submit(call, *job, *selected, *inbox, running);
  if (!submitted) {
    co_return co_await call.error(submitted.error());
  }
  const ClientWatch watch(call.exchange(), inbox);
  const bool streams = job->common.stream;
  AnswerForm form = complete_form(call, *job, *selected);
  const auto answer = endpoint == Endpoint::Chat ? make_chat_answer(std::move(form))
                                                 : make_completion_answer(std::move(form));
  if (streams) {
    co_await answer_stream(call, *inbox, *answer, running);
  } else {
    co_await answer_whole(call, *inbox, *answer, running);
  }
}

}  // namespace

Task<void> handle_completions(Call& call) {
  co_await generate(call, Endpoint::Completions);
}

Task<void> handle_chat_completions(Call& call) {
  co_await generate(call, Endpoint::Chat);
}

}  // namespace llmd::engine
