#include "extproc/renderer.h"

#include <algorithm>

#include "async/deadline.h"
#include "base/log.h"
#include "json/path.h"
#include "openai/chat_of_messages.h"
#include "openai/request_scan.h"
#include "trace/context.h"

namespace llmd::extproc {
namespace {

constexpr std::string_view kChat = "/v1/chat/completions";
constexpr std::string_view kText = "/v1/completions";
constexpr std::string_view kMessages = "/v1/messages";
constexpr std::size_t kMostOfMistake = 1024;
constexpr std::size_t kMostOfAnswer = std::size_t{64} << 20;

std::string_view render_path(std::string_view path) {
  if (path.ends_with(kChat) || path.ends_with(kMessages)) {
    return "/v1/chat/completions/render";
  }
  return path.ends_with(kText) ? "/v1/completions/render" : std::string_view();
}

Result<void> append_tokens(const json::Value& rendered, std::vector<std::uint32_t>& tokens) {
  const json::Array* ids = json::array_at(rendered, "token_ids");
  if (ids == nullptr) {
    return invalid_argument("token_ids: is missing");
  }
  for (const json::Value& id : *ids) {
    const auto number = json::as_integer(id);
    if (!number || *number < 0 || *number > UINT32_MAX) {
      return invalid_argument("token_ids: not a token");
    }
    tokens.push_back(static_cast<std::uint32_t>(*number));
  }
  return {};
}

// {mm_hashes: {image: [id, …]}, mm_placeholders: {image: [{offset, length}, …]}}. What does not fit together
// is left out: then its blocks are looked for as if they were text, and not found.
void append_media(const json::Value& rendered, std::size_t tokens_before,
                  std::vector<Renderer::Rendered::Place>& media) {
  const json::Value* hashes = json::find(rendered, "features.mm_hashes");
  const json::Object* by_modality = hashes != nullptr ? hashes->if_object() : nullptr;
  if (by_modality == nullptr) {
    return;
  }
  for (const auto& [modality, listed] : *by_modality) {
    const json::Array* ids = listed.if_array();
    const json::Array* places =
        json::array_at(rendered, fmt::format("features.mm_placeholders.{}", std::string_view(modality)));
    for (std::size_t i = 0; ids != nullptr && places != nullptr && i < std::min(ids->size(), places->size());
         ++i) {
      const auto offset = json::int_at((*places)[i], "offset");
      const auto length = json::int_at((*places)[i], "length");
      if ((*ids)[i].is_string() && offset && length && *offset >= 0 && *length > 0) {
        media.push_back({std::string(std::string_view((*ids)[i].get_string())),
                         static_cast<std::uint64_t>(*offset) + tokens_before,
                         static_cast<std::uint64_t>(*length)});
      }
    }
  }
}

// The client's request with another model.
Result<std::string> with_model(std::string_view body, std::string_view model) {
  openai::RequestScan scan;
  scan.feed(body);
  if (!scan.finish() || !scan.model_position()) {
    return invalid_argument("the request names no model");
  }
  const auto position = *scan.model_position();
  std::string content(body.substr(0, position.begin));
  json::write_quoted_to(content, model);
  content += body.substr(position.end);
  return content;
}

Result<void> append(const json::Value& rendered, Renderer::Rendered& all) {
  const std::size_t before = all.tokens.size();
  LLMD_TRY_VOID(append_tokens(rendered, all.tokens));
  append_media(rendered, before, all.media);
  return {};
}

}  // namespace

Renderer::Renderer(async::EventLoop& loop, picker::TokenProducer::Options options)
    : Renderer(loop, std::move(options), WarmUp()) {}

Renderer::Renderer(async::EventLoop& loop, picker::TokenProducer::Options options, WarmUp warm_up)
    : options_(std::move(options)), warming_(warm_up), cold_(loop.executor()), connections_(loop) {}

bool Renderer::renders(std::string_view path) {
  return !render_path(path).empty();
}

std::vector<kvcache::PlacedItem> Renderer::Rendered::placed() const {
  std::vector<kvcache::PlacedItem> items;
  for (const Place& place : media) {
    items.push_back({.id = place.id, .offset = place.offset, .length = place.length});
  }
  return items;
}

Result<Renderer::Rendered> Renderer::read(std::string_view answer) {
  LLMD_TRY(const json::Value rendered, json::parse(answer));
  Rendered all;
  if (!rendered.is_array()) {
    LLMD_TRY_VOID(append(rendered, all));
    return all;
  }
  for (const json::Value& one : rendered.get_array()) {
    LLMD_TRY_VOID(append(one, all));
  }
  return all;
}

Task<Result<http::Answer>> Renderer::ask(std::string_view path, std::string_view content, Duration timeout,
                                         std::string_view traceparent) {
  http::ClientRequest request;
  request.address = options_.server;
  request.head = {.method = "POST", .target = std::string(render_path(path)), .headers = {}};
  request.head.headers.add("Content-Type", "application/json");
  if (!traceparent.empty()) {
    request.head.headers.add(std::string(trace::kTraceparent), std::string(traceparent));
  }
  request.content = content;
  request.timeouts = {
      .connect = timeout, .first_byte = timeout, .idle = timeout, .total = async::Deadline::after(timeout)};
  auto answer = co_await http::fetch(connections_, std::move(request), kMostOfAnswer);
  if (answer && answer->status / 100 != 2) {
    const std::string why = answer->body.substr(0, kMostOfMistake);
    co_return answer->status < 500 ? invalid_argument("status {}: {}", answer->status, why)
                                   : unavailable("status {}: {}", answer->status, why);
  }
  co_return answer;
}

Task<Result<Renderer::Rendered>> Renderer::render(std::string_view path, std::string_view body, bool media,
                                                  std::string_view traceparent) {
  const bool converts = path.ends_with(kMessages);
  LLMD_CO_TRY(const std::string content,
              converts ? openai::chat_of_messages(body, options_.model) : with_model(body, options_.model));
  const Duration timeout = media ? options_.media_timeout : options_.timeout;
  const auto answer = co_await ask(path, content, timeout, traceparent);
  if (!answer) {
    if (answer.error().kind != ErrorKind::InvalidArgument) {  // which is the client's fault
      cold_.set();
    }
    co_return std::unexpected(answer.error());
  }
  co_return read(answer->body);
}

Task<void> Renderer::warm_up() {
  std::string chat = R"({"model":)";
  json::write_quoted_to(chat, options_.model);
  chat += R"(,"messages":[{"role":"user","content":"warm-up"}]})";
  constexpr std::string_view kNoTrace;
  for (int i = 0; i < warming_.tries && !retired_; ++i) {
    cold_.reset();
    const auto answer = co_await ask(kChat, chat, options_.media_timeout, kNoTrace);
    if (answer) {
      warned_ = false;
      co_return;
    }
    if (!std::exchange(warned_, true)) {
      log::warning("no tokens yet: the engine does not render; it is asked again for a while",
                   {{"engine", options_.server.to_string()}, {"problem", answer.error().text()}});
    }
    co_await async::sleep(warming_.pause);
  }
}

Task<void> Renderer::keep_warm() {
  while (!retired_) {
    co_await warm_up();
    co_await cold_.wait();
  }
}

void Renderer::retire() {
  retired_ = true;
  cold_.set();
}

}  // namespace llmd::extproc
