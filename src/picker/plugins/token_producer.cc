#include "picker/plugins/token_producer.h"

#include <algorithm>

namespace llmd::picker {
namespace {

// "http://HOST:PORT", as llm-d's example has it.
Result<net::Address> server_of(std::string_view url) {
  constexpr std::string_view kHttp = "http://";
  if (!url.starts_with(kHttp)) {
    return invalid_argument("expected http://HOST:PORT, got '{}'", url);
  }
  url.remove_prefix(kHttp.size());
  if (url.ends_with('/')) {
    url.remove_suffix(1);
  }
  const bool has_port = url.rfind(':') != std::string_view::npos && !url.ends_with(']');
  return net::parse_address(has_port ? std::string(url) : fmt::format("{}:80", url));
}

void read_positive(Parameters& from, std::string_view name, auto& into) {
  from.read(name, into);
  if (into <= 0) {
    from.reject(name, "must be positive");
    into = 1;
  }
}

void read_resolution(Parameters& from, openai::ImageSize& into) {
  std::int64_t width = into.width;
  std::int64_t height = into.height;
  read_positive(from, "width", width);
  read_positive(from, "height", height);
  constexpr std::int64_t kMost = 65535;
  into = {static_cast<std::uint32_t>(std::min(width, kMost)),
          static_cast<std::uint32_t>(std::min(height, kMost))};
}

// `fixed_name`: what the fixed number of tokens is called.
void read_picture(Parameters& from, std::string_view fixed_name, openai::MediaEstimate::Picture& into) {
  int mode = 0;
  from.read_choice("mode", mode, {"dynamic", "static"});
  read_positive(from.object("dynamic"), "factor", into.factor);
  std::int64_t fixed = 0;
  Parameters& constant = from.object("static");
  constant.read(fixed_name, fixed);
  if (mode == 1 && fixed < 1) {
    constant.reject(fixed_name, "must be positive");
  }
  into.fixed = mode == 1 ? std::max<std::int64_t>(fixed, 1) : 0;
}

void read_frames(Parameters& from, openai::MediaEstimate::Video& into) {
  int mode = 0;
  from.read_choice("mode", mode, {"sampled", "strided"});
  from.read("minFrames", into.least_frames);
  from.read("maxFrames", into.most_frames);
  Parameters& sampled = from.object("sampled");
  read_positive(sampled, "sampleFPS", into.frames_per_second);
  read_positive(sampled, "temporalPatchSize", into.frames_at_once);
  Parameters& strided = from.object("strided");
  double source = 24;
  read_positive(strided, "defaultSourceFPS", source);
  read_positive(strided, "frameStride", into.stride);
  into.stride_fps = mode == 1 ? source : 0;
}

void read_estimate(Parameters& from, openai::MediaEstimate& into) {
  Parameters& image = from.object("image");
  read_picture(image, "staticToken", into.image);
  read_resolution(image.object("defaultResolution"), into.image.size);
  Parameters& video = from.object("video");
  read_picture(video.object("tokensPerFrame"), "numTokensPerFrame", into.video.frame);
  read_resolution(video.object("defaultResolution"), into.video.frame.size);
  read_positive(video, "defaultDuration", into.video.seconds);
  read_frames(video.object("frames"), into.video);
  video.read("maxVideoTokens", into.video.most_tokens);
}

}  // namespace

Result<std::unique_ptr<Plugin>> make_token_producer(PluginSetup& setup) {
  Parameters& parameters = setup.parameters;
  TokenProducer::Options options;
  parameters.read("modelName", options.model);
  const bool uses_socket = parameters.has("udsTokenizerConfig");
  const bool uses_vllm = parameters.has("vllm") || (!options.model.empty() && !uses_socket);
  if (parameters.has("vllm") && uses_socket) {
    parameters.reject("udsTokenizerConfig", "only one backend can be used; vllm is given, too");
  }
  if ((uses_vllm || uses_socket) && options.model.empty()) {
    parameters.reject("modelName", "is required");
  }
  Parameters& vllm = parameters.object("vllm");
  std::string url = "http://localhost:8000";
  vllm.read("url", url, "http");
  vllm.read("timeout", options.timeout);
  vllm.read("mmTimeout", options.media_timeout);
  if (uses_vllm) {
    const auto server = server_of(url);
    if (server) {
      options.server = *server;
    } else {
      vllm.reject("url", server.error().message);
    }
  }
  parameters.object("udsTokenizerConfig").accept({"socketFile", "useTCP"});
  if (parameters.has("estimate") && (uses_vllm || uses_socket)) {
    parameters.reject("estimate", "only one backend can be used; an engine is asked already");
  }
  read_estimate(parameters.object("estimate"), options.media);
  setup.provide("tokens");
  return std::make_unique<TokenProducer>(std::move(options));
}

}  // namespace llmd::picker
