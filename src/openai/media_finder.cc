#include "openai/media_finder.h"

#include <algorithm>
#include <array>
#include <utility>

namespace llmd::openai {
namespace {

constexpr std::array<std::pair<std::string_view, Modality>, 5> kItems = {{{"image_url", Modality::Image},
                                                                          {"video_url", Modality::Video},
                                                                          {"audio_url", Modality::Audio},
                                                                          {"input_audio", Modality::Audio},
                                                                          {"file_data", Modality::Image}}};

auto item_called(std::string_view text) {
  return std::ranges::find(kItems, text, &std::pair<std::string_view, Modality>::first);
}

}  // namespace

bool means_media(std::string_view text) {
  constexpr std::size_t kShortest = 9;
  if (text.size() < kShortest || text.size() > kLongestMediaName) {
    return false;
  }
  return text == "input_image" || text == "input_file" || item_called(text) != kItems.end();
}

// messages[ {content[ {source — or, in a tool's result, content[ {source. Deeper ones are a tool's input.
bool may_mean_source(std::string_view text, std::size_t depth) {
  return (depth == 4 || depth == 6) && text == "source";
}

void MediaFinder::name(std::string_view text) {
  awaited_.reset();
  source_awaited_ = false;
  last_ = Name::Other;
  const bool directly = opened_ && depth_ == item_depth_;
  if (directly && std::exchange(type_awaited_, false)) {
    opened_ = text != "text" && text != "content";
  } else if (const auto item = item_called(text); item != kItems.end()) {
    last_ = Name::Item;
    kind_ = item->second;
  } else if (may_mean_source(text, depth_)) {
    last_ = Name::Source;
    kind_ = Modality::Image;
  } else if (directly && (text == "url" || text == "data")) {
    last_ = Name::Content;
  } else if (directly && is_source_ && text == "type") {
    last_ = Name::Type;
  }
}

void MediaFinder::structure(char c) {
  if (c == ':') {
    switch (last_) {
      case Name::Item:
        opened_ = false;
        awaited_ = kind_;
        break;
      case Name::Source:
        opened_ = false;
        source_awaited_ = true;
        break;
      case Name::Content:
        awaited_ = kind_;
        break;
      case Name::Type:
        type_awaited_ = true;
        break;
      case Name::Other:
        break;
    }
    last_ = Name::Other;
    return;
  }
  if (c == '{' || c == '[') {
    ++depth_;
    if (c == '{' && (source_awaited_ || (awaited_ && !opened_))) {
      opened_ = true;
      is_source_ = source_awaited_;
      item_depth_ = depth_;
    }
  } else if (c == '}' || c == ']') {
    opened_ = opened_ && depth_ != item_depth_;
    --depth_;
  }
  awaited_.reset();
  source_awaited_ = false;
  type_awaited_ = false;
  last_ = Name::Other;
}

}  // namespace llmd::openai
