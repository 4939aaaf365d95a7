#include "openai/media_finder.h"

#include <algorithm>
#include <array>
#include <utility>

namespace llmd::openai {
namespace {

constexpr std::array<std::pair<std::string_view, Modality>, 4> kItems = {{{"image_url", Modality::Image},
                                                                          {"video_url", Modality::Video},
                                                                          {"audio_url", Modality::Audio},
                                                                          {"input_audio", Modality::Audio}}};

auto item_called(std::string_view text) {
  return std::ranges::find(kItems, text, &std::pair<std::string_view, Modality>::first);
}

}  // namespace

bool means_media(std::string_view text) {
  return text == "input_image" || item_called(text) != kItems.end();
}

void MediaFinder::name(std::string_view text) {
  awaited_.reset();
  last_ = Name::Other;
  if (const auto item = item_called(text); item != kItems.end()) {
    last_ = Name::Item;
    kind_ = item->second;
  } else if (opened_ && depth_ == item_depth_ && (text == "url" || text == "data")) {
    last_ = Name::Content;
  }
}

void MediaFinder::structure(char c) {
  if (c == ':') {
    if (last_ != Name::Other) {
      opened_ = opened_ && last_ == Name::Content;
      awaited_ = kind_;
    }
    last_ = Name::Other;
    return;
  }
  if (c == '{' || c == '[') {
    ++depth_;
    if (c == '{' && awaited_ && !opened_) {
      opened_ = true;
      item_depth_ = depth_;
    }
  } else if (c == '}' || c == ']') {
    opened_ = opened_ && depth_ != item_depth_;
    --depth_;
  }
  awaited_.reset();
  last_ = Name::Other;
}

}  // namespace llmd::openai
