#include "extproc/renderer.h"

#include <algorithm>

#include "json/path.h"
#include "openai/request_scan.h"
#include "trace/context.h"

namespace llmd::extproc {
namespace {

constexpr std::string_view kChat = "/v1/chat/completions";
constexpr std::string_view kText = "/v1/completions";
constexpr std::size_t kMostOfMistake = 1024;
constexpr std::size_t kMostOfAnswer = std::size_t{64} << 20;

std::string_view render_path(std::string_view path) {
  if (path.ends_with(kChat)) {
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

Result<void> append(const json::Value& rendered, Renderer::Rendered& all) {
  const std::size_t before = all.tokens.size();
  LLMD_TRY_VOID(append_tokens(rendered, all.tokens));
  append_media(rendered, before, all.media);
  return {};
}

}  // namespace

Renderer::Renderer(async::EventLoop& loop, picker::TokenProducer::Options options)
    : options_(std::move(options)), connections_(loop) {}

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

Task<Result<Renderer::Rendered>> Renderer::render(std::string_view path, std::string_view body, bool media,
                                                  std::string_view traceparent) {
  openai::RequestScan scan;
  scan.feed(body);
  if (!scan.finish() || !scan.model_position()) {
    co_return invalid_argument("the request names no model");
  }
  const auto model = *scan.model_position();
  std::string content(body.substr(0, model.begin));
  json::write_quoted_to(content, options_.model);
  content += body.substr(model.end);
  const Duration timeout = media ? options_.media_timeout : options_.timeout;
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
  LLMD_CO_TRY(const auto answer, co_await http::fetch(connections_, std::move(request), kMostOfAnswer));
  if (answer.status / 100 != 2) {
    co_return unavailable("status {}: {}", answer.status, answer.body.substr(0, kMostOfMistake));
  }
  co_return read(answer.body);
}

}  // namespace llmd::extproc
