// Asks an engine for the tokens of a request, as vLLM's render endpoints tell them: POST
// /v1/completions/render and /v1/chat/completions/render with the request itself. One loop.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "http/client.h"
#include "kvcache/prompt_extras.h"
#include "picker/plugins/token_producer.h"

namespace llmd::extproc {

class Renderer {
 public:
  Renderer(async::EventLoop& loop, picker::TokenProducer::Options options);

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
  // `body` is the client's request; only the value of `model` is replaced. `media`: it has contents that are
  // lists, which take longer. `traceparent` goes along; empty: none. Views live until the task ends.
  Task<Result<Rendered>> render(std::string_view path, std::string_view body, bool media,
                                std::string_view traceparent = {});

  // Of an answer: {token_ids: […], features: {…}}, or a list of such objects, whose tokens are joined. Pure.
  static Result<Rendered> read(std::string_view answer);

 private:
  const picker::TokenProducer::Options options_;
  http::ClientPool connections_;
};

}  // namespace llmd::extproc
