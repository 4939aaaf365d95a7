// Asks an engine for the tokens of a request, as vLLM's render endpoints tell them: POST
// /v1/completions/render and /v1/chat/completions/render with the request itself; one of /v1/messages is
// turned into a chat first (openai/chat_of_messages.h). One loop.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "async/event.h"
#include "http/client.h"
#include "kvcache/prompt_extras.h"
#include "picker/plugins/token_producer.h"

namespace llmd::extproc {

class Renderer {
 public:
  // How often it is asked for something tiny until it answers.
  struct WarmUp {
    int tries = 24;
    Duration pause = std::chrono::seconds(5);
  };
  Renderer(async::EventLoop& loop, picker::TokenProducer::Options options);
  Renderer(async::EventLoop& loop, picker::TokenProducer::Options options, WarmUp warm_up);

  struct Rendered {
    std::vector<std::uint32_t> tokens;
    // Images, videos and sounds among them, as the engine names them.
    struct Place {
      std::string id;
      std::uint64_t offset = 0;
      std::uint64_t length = 0;
    };
    std::vector<Place> media;

    std::vector<kvcache::PlacedItem> placed() const;  // views of this
  };

  // Whether requests of this path can be rendered.
  static bool renders(std::string_view path);
  // `body` is the client's request; of a chat only the value of `model` is replaced. `media`: it has contents
  // that are lists, which take longer. `traceparent` goes along; empty: none. Views live until the task ends.
  Task<Result<Rendered>> render(std::string_view path, std::string_view body, bool media,
                                std::string_view traceparent = {});

  // Asks so that the engine loads what it needs, now and whenever it may be cold: after cool(), and when it
  // could not be reached or failed. That it fails is said once until it works again. Until cancelled or
  // retired.
  Task<void> keep_warm();
  void cool() { cold_.set(); }
  // Nobody will ask any more.
  void retire();

  // Of an answer: {token_ids: […], features: {…}}, or a list of such objects, whose tokens are joined. Pure.
  static Result<Rendered> read(std::string_view answer);

 private:
  Task<Result<http::Answer>> ask(std::string_view path, std::string_view content, Duration timeout,
                                 std::string_view traceparent);
  Task<void> warm_up();

  const picker::TokenProducer::Options options_;
  const WarmUp warming_;
  async::Event cold_;
  bool retired_ = false;
  bool warned_ = false;
  http::ClientPool connections_;
};

}  // namespace llmd::extproc
