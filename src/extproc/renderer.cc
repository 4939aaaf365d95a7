#include "extproc/renderer.h"

#include "json/path.h"
#include "openai/request_scan.h"

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

}  // namespace

Renderer::Renderer(async::EventLoop& loop, picker::TokenProducer::Options options)
    : options_(std::move(options)), connections_(loop) {}

bool Renderer::renders(std::string_view path) {
  return !render_path(path).empty();
}

Result<std::vector<std::uint32_t>> Renderer::tokens_of(std::string_view answer) {
  LLMD_TRY(const json::Value rendered, json::parse(answer));
  std::vector<std::uint32_t> tokens;
  if (!rendered.is_array()) {
    LLMD_TRY_VOID(append_tokens(rendered, tokens));
    return tokens;
  }
  for (const json::Value& one : rendered.get_array()) {
    LLMD_TRY_VOID(append_tokens(one, tokens));
  }
  return tokens;
}

Task<Result<std::vector<std::uint32_t>>> Renderer::render(std::string_view path, std::string_view body,
                                                          bool media) {
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
  request.content = content;
  request.timeouts = {
      .connect = timeout, .first_byte = timeout, .idle = timeout, .total = async::Deadline::after(timeout)};
  LLMD_CO_TRY(const auto answer, co_await http::fetch(connections_, std::move(request), kMostOfAnswer));
  if (answer.status / 100 != 2) {
    co_return unavailable("status {}: {}", answer.status, answer.body.substr(0, kMostOfMistake));
  }
  co_return tokens_of(answer.body);
}

}  // namespace llmd::extproc
