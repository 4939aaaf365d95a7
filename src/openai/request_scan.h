// RequestScan: what routing needs to know of a request body, found in one forward pass while the body
// arrives. The bytes are neither kept nor changed, and nothing else of the document is understood or checked:
// that is the engine's business.
//
//   RequestScan scan;
//   for each piece: scan.feed(piece);
//   scan.finish();
//   scan.model(), scan.stream(), scan.model_position(), scan.prompt_units(), …
//
// Members are looked for at the top level only; of a name given twice the last counts, as in Python's json.
//
// The prompt is the text of the members that make it (messages, prompt, input, tools, system, …), as it
// stands in the body. It is hashed in units of 64 bytes (kvcache/block_hash.h) while it arrives: a
// conversation that grows repeats the units of the turns before. Nothing is unescaped for that: the hashes
// are only ever compared with those of other bodies. What engines do with a prompt decides what counts:
//   order     tools come first, then system texts, what an earlier response left, queries, documents, and
//             the rest: so stand they in an engine's cache, wherever the body has them
//   tokens    a list of token ids counts four bytes for each: 16 tokens are a unit
//   media     an image, video or sound counts as kMediaBytes made of its own hash, however long its URL or
//             data is; so do prompt_embeds, which are no media
//   left out  null, and the system block in which Claude Code signs each request differently (engines leave
//             it out, too)
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvcache/block_hash.h"
#include "openai/media_finder.h"

namespace llmd::openai {

class RequestScan {
 public:
  void feed(std::string_view bytes);
  // The body is complete. False when it is not one JSON object (as far as looked).
  bool finish();

  // The string value of "model", unescaped; nullopt when absent or not a string.
  const std::optional<std::string>& model() const { return model_; }
  bool stream() const { return stream_; }
  const std::optional<std::string>& user() const { return user_; }
  const std::optional<std::string>& cache_salt() const { return cache_salt_; }
  const std::optional<std::string>& owned_by() const { return owned_by_; }
  std::optional<std::int64_t> priority() const { return priority_; }
  // The client's limit for the answer, by any of its names.
  std::optional<std::int64_t> max_tokens() const { return max_tokens_; }
  // Something in the prompt is called image_url, video_url, audio_url, input_audio, input_image, input_file
  // or file_data, or is what Anthropic's API calls a source.
  bool multimodal() const { return multimodal_; }
  // A request in tokens says where its media stand ("features"), as rendered ones do.
  bool has_features() const { return has_features_; }
  // The first kMostMedia of them, as they stand in the body: their text is not kept.
  std::span<const MediaContent> media() const { return media_; }
  static constexpr std::size_t kMostMedia = 1000;
  // What each counts for in the prompt: a picture of 640x360 is about 225 tokens.
  static constexpr std::size_t kMediaBytes = 896;

  // The whole prompt, when it came as token ids (of several prompts, one behind the other); else empty.
  std::span<const std::uint32_t> tokens() const {
    return text_seen_ ? std::span<const std::uint32_t>() : tokens_;
  }
  static constexpr std::size_t kMostTokens = std::size_t{1} << 20;

  // Complete after finish(), which brings the parts into their order.
  std::span<const std::uint64_t> prompt_units() const { return units_; }
  std::size_t prompt_bytes() const { return prompt_bytes_; }
  // Four bytes are about one token.
  std::int64_t estimated_tokens() const { return static_cast<std::int64_t>((prompt_bytes_ + 3) / 4); }
  // Longer prompts are hashed up to here.
  static constexpr std::size_t kMostUnits = std::size_t{1} << 16;

  // Where the value of "model" stands in the body, with its quotes: to replace it without touching anything
  // else.
  struct Position {
    std::size_t begin = 0;
    std::size_t end = 0;
  };
  const std::optional<Position>& model_position() const { return model_position_; }

 private:
  enum class State {
    Start,
    KeyOrEnd,
    Key,
    InKey,
    Colon,
    Value,
    InString,
    InScalar,
    InList,  // of token ids, as far as is known
    InNested,
    AfterValue,
    End,
    Bad
  };
  // What a top-level member is to us. From Tools on it is a part of the prompt, in this order.
  enum class Member {
    Other,
    Model,
    Stream,
    User,
    CacheSalt,
    OwnedBy,
    Priority,
    MaxTokens,
    Sampling,
    Features,
    Tools,
    System,
    Past,
    Query,
    Documents,
    Turns,
    Embeds
  };
  static Member member_called(std::string_view name);
  bool in_prompt() const { return member_ >= Member::Tools; }
  bool may_hold_media() const { return member_ >= Member::Query; }
  bool is_captured() const { return member_ != Member::Other && !in_prompt(); }

  bool is_in_value() const {
    return state_ == State::InString || state_ == State::InScalar || state_ == State::InList ||
           state_ == State::InNested;
  }

  void feed_slice(std::string_view bytes);
  std::size_t skip_string(std::string_view bytes, std::size_t at);
  std::size_t step(std::string_view bytes, std::size_t at);
  std::size_t nested(std::string_view bytes, std::size_t at);
  std::size_t list(std::string_view bytes, std::size_t at);
  bool end_token();
  void hash_tokens(std::size_t first);
  std::size_t value_piece(std::string_view bytes, std::size_t at);
  void end_key();
  std::optional<std::string_view> nested_text(std::string_view bytes, std::size_t begin, std::size_t end);
  void look_at_nested_string(std::string_view bytes, std::size_t begin, std::size_t end);
  void look_for_signature(std::string_view bytes, std::size_t begin, std::size_t end);
  void begin_nested_string(std::string_view bytes, std::size_t at);
  std::size_t nested_string(std::string_view bytes, std::size_t at);
  void begin_content(std::size_t position, std::optional<Modality> modality);
  void read_content(std::string_view bytes, std::size_t begin, std::size_t end);
  void begin_value(char c, std::size_t position);
  void capture(std::string_view bytes, std::size_t begin, std::size_t end);
  void end_value(std::size_t end);
  std::optional<std::string> text_value() const;
  void read_sampling();
  void hash(std::string_view bytes);
  void end_part();
  void order_parts();

  State state_ = State::Start;
  std::size_t offset_ = 0;  // of the current piece in the body
  std::size_t depth_ = 0;   // of nested values
  bool nested_string_ = false;
  bool escaped_ = false;
  bool string_ended_ = false;
  std::string key_;
  Member member_ = Member::Other;
  bool capture_ = false;
  std::string value_;  // raw text of an interesting value
  std::size_t value_begin_ = 0;

  std::optional<std::string> model_;
  std::optional<Position> model_position_;
  bool stream_ = false;
  std::optional<std::string> user_;
  std::optional<std::string> cache_salt_;
  std::optional<std::string> owned_by_;
  std::optional<std::int64_t> priority_;
  std::optional<std::int64_t> max_tokens_;
  bool multimodal_ = false;
  bool has_features_ = false;
  std::string nested_text_;  // the beginning of the nested string that is being read
  MediaFinder finder_;
  bool watches_ = false;  // the finder is shown everything: there seem to be media
  std::vector<MediaContent> media_;
  std::optional<MediaContent> content_;  // that is being read
  bool content_is_media_ = false;
  // How much of what begins the block that is left out has been seen in this string; nullopt: it is another.
  std::optional<std::size_t> signature_;
  std::vector<std::uint32_t> tokens_;
  std::uint64_t token_ = 0;  // the number that is being read, if
  int token_digits_ = 0;     // is not 0
  bool text_seen_ = false;   // the prompt is not, or not only, tokens
  kvcache::UnitHasher content_hasher_;
  std::vector<std::uint64_t> content_units_;
  std::size_t unhashed_ = 0;  // where the prompt's text begins that is still to be hashed
  kvcache::UnitHasher hasher_;
  std::vector<std::uint64_t> units_;
  std::size_t prompt_bytes_ = 0;
  // A member's units; the last one may stand for less than 64 bytes.
  struct Part {
    Member member = Member::Other;
    std::size_t begin = 0;
    std::size_t end = 0;
  };
  Part part_;                // the last one
  std::vector<Part> parts_;  // those before
};

}  // namespace llmd::openai
