// Finds the contents of images, videos and sounds in a prompt while it is scanned: the string that is the
// value of image_url, video_url, audio_url or input_audio, or of `url` or `data` in the object that is.
// Private to openai. Knows names and structure only; the scan keeps the text away from it.
#pragma once

#include <optional>
#include <string_view>

#include "openai/media.h"

namespace llmd::openai {

// Whether a member of that name, or a part of that type, means that the request has media.
bool means_media(std::string_view text);
// Longer strings are neither such a name nor a member's that stands in one.
inline constexpr std::size_t kLongestMediaName = 11;

class MediaFinder {
 public:
  // Another value begins.
  void restart() { *this = MediaFinder(); }
  // A byte outside of strings that is not blank.
  void structure(char c);
  // A string begins. A value: it is the content of such an item, and name() is not called for it.
  std::optional<Modality> string() const { return awaited_; }
  // A string ended that is no content.
  void name(std::string_view text);
  // A content ended.
  void content_ended() { awaited_.reset(); }

 private:
  enum class Name { Other, Item, Content };
  Name last_ = Name::Other;          // of the string before, which may turn out to be a member's name
  Modality kind_ = Modality::Image;  // of the last item
  std::optional<Modality> awaited_;  // the next value belongs to an item of that kind
  bool opened_ = false;              // inside an item's object
  int depth_ = 0;                    // relative to where this began
  int item_depth_ = 0;
};

}  // namespace llmd::openai
