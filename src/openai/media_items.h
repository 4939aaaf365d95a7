// The images, videos and sounds of a request body, as hashes: the same picture in another request has the
// same one. Pure.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace llmd::openai {

// XXH64 of the URL or data of each image_url, video_url, audio_url and input_audio, in the body's order, each
// once; empty where the body is no JSON. Reads the whole body, so ask only when RequestScan::multimodal().
std::vector<std::uint64_t> media_items(std::string_view body);

}  // namespace llmd::openai
