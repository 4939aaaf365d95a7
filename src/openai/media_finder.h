// Finds the contents of images, videos and sounds in a prompt while it is scanned:
//   OpenAI's shape     the string that is the value of image_url, video_url, audio_url, input_audio or
//                      file_data, or of `url` or `data` in the object that is
//   Anthropic's shape  {"type":"image","source":{"type":"base64","media_type":…,"data":…}} or {…,"url":…}, in
//   a
//                      message or in a tool's result; a source of type text is text
// Files count as images: engines that take them show their pages to the model. Private to openai. Knows names
// and structure only; the scan keeps the text away from it.
#pragma once

#include <optional>
#include <string_view>

#include "openai/media.h"

namespace llmd::openai {

// Whether a member of that name, or a part of that type, means that the request has media.
bool means_media(std::string_view text);
// The same as far as it is worth looking: where `depth` objects and lists are open in a prompt.
bool may_mean_source(std::string_view text, std::size_t depth);
// Longer strings are neither such a name nor a member's that stands in one.
inline constexpr std::size_t kLongestMediaName = 11;

class MediaFinder {
 public:
  // Another value begins, or looking begins inside one: so many objects and lists are open.
  void restart(std::size_t depth) {
    *this = MediaFinder();
    depth_ = depth;
  }
  // A byte outside of strings that is not blank.
  void structure(char c);
  // A string begins. A value: it is the content of such an item, and name() is not called for it.
  std::optional<Modality> string() const { return awaited_; }
  // A string ended that is no content.
  void name(std::string_view text);
  // A content ended.
  void content_ended() { awaited_.reset(); }

 private:
  enum class Name { Other, Item, Source, Content, Type };
  Name last_ = Name::Other;          // of the string before, which may turn out to be a member's name
  Modality kind_ = Modality::Image;  // of the last item
  std::optional<Modality> awaited_;  // the next value belongs to an item of that kind
  bool source_awaited_ = false;      // the next value is a source, if it is an object
  bool opened_ = false;              // inside an item's object,
  bool is_source_ = false;           // which is a source
  bool type_awaited_ = false;        // the next value is the type of it
  std::size_t depth_ = 0;
  std::size_t item_depth_ = 0;
};

}  // namespace llmd::openai
