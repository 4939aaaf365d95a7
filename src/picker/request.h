// What is known about a request when its endpoint is chosen, and what is learned when it ends.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/clock.h"
#include "kvcache/prompt_extras.h"
#include "openai/media.h"

namespace llmd::picker {

// Looks up request headers wherever the caller keeps them: anything with
// `std::optional<std::string_view> find(std::string_view name) const`, such as http::Headers. Refers to it.
class HeaderView {
 public:
  HeaderView() = default;
  template <typename Headers>
  HeaderView(const Headers& headers)  // NOLINT: a view of any header type
      : object_(&headers), find_([](const void* object, std::string_view name) {
          return static_cast<const Headers*>(object)->find(name);
        }) {}
  // Names are given in lower case.
  std::optional<std::string_view> find(std::string_view name) const {
    return object_ != nullptr ? find_(object_, name) : std::nullopt;
  }

 private:
  using Find = std::optional<std::string_view> (*)(const void*, std::string_view);
  const void* object_ = nullptr;
  Find find_ = nullptr;
};

inline constexpr std::string_view kDefaultFairnessId = "default-flow";

// Bytes of prompt text behind each of Request::prompt_units; four bytes are about one token.
inline constexpr std::size_t kUnitBytes = 64;
inline constexpr std::size_t kUnitTokens = 16;

// Views live as long as the call they are given to (for a waiting call: until it has returned).
struct Request {
  std::string_view id = {};            // x-request-id
  std::string_view model = {};         // as the client wrote it
  std::string_view target_model = {};  // after a rewrite; empty: model
  HeaderView headers = {};
  std::string_view path = {};
  bool stream = false;
  int priority = 0;  // below 0: may be shed; above: served first
  std::string_view objective = {};
  std::string_view fairness_id = kDefaultFairnessId;
  std::size_t body_bytes = 0;
  std::size_t prompt_bytes = 0;
  // XXH3 of every 64 bytes of the prompt's text (openai::RequestScan), the last one possibly shorter.
  std::span<const std::uint64_t> prompt_units = {};
  std::string_view cache_salt = {};
  std::span<const std::uint32_t> tokens = {};  // when a tokenizer ran
  std::int64_t estimated_tokens = 0;           // of the prompt; 0: from prompt_bytes
  std::int64_t max_tokens = 0;                 // the client's limit for the answer; 0: none
  bool multimodal = false;
  std::span<const openai::MediaItem> media = {};  // its images, videos and sounds, each once
  // Where these stand in `tokens`, as the tokenizer that counted them said.
  std::span<const kvcache::PlacedItem> placed_media = {};
  // Full name of the endpoint that was agreed on with others that arrived together (Holder); empty: none.
  std::string_view agreed_endpoint = {};
  // The proxy's subset hint: addresses or "ip:port" texts (only the host counts).
  std::optional<std::span<const std::string_view>> subset = std::nullopt;
  bool explain = false;     // x-llmd-explain
  TimePoint received = {};  // epoch: now

  std::string_view target() const { return target_model.empty() ? model : target_model; }
  std::int64_t prompt_tokens() const {
    return !tokens.empty()        ? static_cast<std::int64_t>(tokens.size())
           : estimated_tokens > 0 ? estimated_tokens
                                  : static_cast<std::int64_t>((prompt_bytes + 3) / 4);
  }
};

// Token counts that the engine reported.
struct Usage {
  std::optional<std::int64_t> prompt_tokens;
  std::optional<std::int64_t> completion_tokens;
  std::optional<std::int64_t> cached_tokens;
};

enum class EndCause { Natural, ClientGone, Evicted, Failed };

// How a request ended.
struct Completion {
  EndCause cause = EndCause::Natural;
  int status = 200;
  Usage usage;
  std::size_t response_bytes = 0;
  std::int64_t events = 0;  // SSE events
};

}  // namespace llmd::picker
