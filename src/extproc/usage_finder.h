// Finds the token counts in an engine's answer without parsing it: looks for "usage":{…} (SGLang's own API
// calls it "meta_info") in the bytes, also
// when it is split over pieces, and reads numbers from those objects only. Of an event stream only the
// beginning (Anthropic's message_start) and the end (everybody's last chunk) are looked at: a token costs a
// copy of its event, nothing else. Answers of vLLM's gRPC service are read instead (grpc_bodies.h). Pure.
#pragma once

#include <string>
#include <string_view>

#include "extproc/grpc_bodies.h"
#include "picker/request.h"

namespace llmd::extproc {

class UsageFinder {
 public:
  // The answer is an event stream. Before the first feed().
  void expect_events() { events_ = true; }
  // It is of SGLang's own API. Before the first feed().
  void expect_meta_info() { key_ = kMetaInfo; }
  // It is of VllmEngine/Generate. Before the first feed().
  void expect_engine_answers() { engine_answers_.emplace(); }
  void feed(std::string_view bytes);
  // The answer is over: what was found, later counts over earlier ones.
  picker::Usage finish();

 private:
  static constexpr std::string_view kUsage = "\"usage\"";
  static constexpr std::string_view kMetaInfo = "\"meta_info\"";
  enum class State { Searching, Key, Object };
  void look(std::string_view bytes);
  void search(std::string_view& bytes);
  void found_key(std::string_view& bytes, std::size_t end);
  void after_key(std::string_view& bytes);
  void object(std::string_view& bytes);
  void keep_end(std::string_view bytes);
  void read_object();

  std::string_view key_ = kUsage;
  State state_ = State::Searching;
  std::string border_;  // while searching: the end of the last piece, shorter than what is searched for
  std::string text_;    // the object so far
  int depth_ = 0;
  bool colon_ = false;
  bool events_ = false;
  std::size_t seen_ = 0;
  std::string end_;  // of an event stream
  std::optional<EngineAnswers> engine_answers_;
  picker::Usage usage_;
};

}  // namespace llmd::extproc
