#include "openai/media_items.h"

#include <algorithm>

#include "crypto/hash.h"
#include "json/value.h"

namespace llmd::openai {
namespace {

constexpr std::size_t kMostItems = 1000;

bool is_media(std::string_view name) {
  return name == "image_url" || name == "video_url" || name == "audio_url" || name == "input_audio";
}

// {"url": "…"}, {"data": "…"}, or the text itself.
std::string_view content_of(const json::Value& item) {
  if (item.is_string()) {
    return item.get_string();
  }
  if (const auto* object = item.if_object()) {
    for (const std::string_view name : {"url", "data"}) {
      if (const auto* text = object->if_contains(name); text != nullptr && text->is_string()) {
        return text->get_string();
      }
    }
  }
  return {};
}

void collect(const json::Value& value, std::vector<std::uint64_t>& found) {
  if (const auto* array = value.if_array()) {
    for (const json::Value& each : *array) {
      collect(each, found);
    }
  } else if (const auto* object = value.if_object()) {
    for (const auto& member : *object) {
      const std::string_view content =
          is_media(member.key()) ? content_of(member.value()) : std::string_view();
      if (content.empty()) {
        collect(member.value(), found);
        continue;
      }
      const std::uint64_t hash = crypto::xxh64(content);
      if (found.size() < kMostItems && std::ranges::find(found, hash) == found.end()) {
        found.push_back(hash);
      }
    }
  }
}

}  // namespace

std::vector<std::uint64_t> media_items(std::string_view body) {
  std::vector<std::uint64_t> found;
  if (const auto parsed = json::parse(body)) {
    collect(*parsed, found);
  }
  return found;
}

}  // namespace llmd::openai
