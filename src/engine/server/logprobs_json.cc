#include "engine/server/logprobs_json.h"

#include <algorithm>

#include "engine/server/json_text.h"
#include "tokenizer/detokenize.h"

namespace llmd::engine {
namespace {

std::string valid_utf8(std::string_view bytes) {
  tokenizer::Utf8Stream stream;
  std::string text = stream.push(bytes);
  return text + stream.flush();
}

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

void write_token(std::string& out, const TokenNames& names, const TokenLogprob& entry) {
  add_text(out, "token", names.of(entry.token));
  add_key(out, "logprob");
  append_float(out, entry.logprob);
  add_key(out, "bytes");
  std::vector<unsigned> bytes;
  for (const char c : names.tokenizer.piece(entry.token, false)) {
    bytes.push_back(static_cast<unsigned char>(c));
  }
  append_integers(out, bytes);
}

// The likely ones and, if it is not among them, the token that stands there.
std::vector<TokenLogprob> shown(const PositionLogprobs& position) {
  std::vector<TokenLogprob> entries = position.top;
  if (std::ranges::find(entries, position.chosen.token, &TokenLogprob::token) == entries.end()) {
    entries.push_back(position.chosen);
  }
  return entries;
}

void write_top_map(std::string& out, const TokenNames& names, const PositionLogprobs& position) {
  out += '{';
  std::vector<std::string> written;  // two tokens may look the same: the likelier one is shown
  for (const TokenLogprob& entry : shown(position)) {
    std::string name = names.of(entry.token);
    if (std::ranges::find(written, name) != written.end()) {
      continue;
    }
    out += written.empty() ? "" : ",";
    json::write_quoted_to(out, name);
    out += ':';
    append_float(out, entry.logprob);
    written.push_back(std::move(name));
  }
  out += '}';
}

}  // namespace

std::string TokenNames::of(Token token) const {
  return as_ids ? fmt::format("token_id:{}", token) : valid_utf8(tokenizer.piece(token, false));
}

void write_chat_logprobs(std::string& out, const TokenNames& names,
                         std::span<const PositionLogprobs> positions) {
  out += R"({"content":[)";
  for (std::size_t i = 0; i < positions.size(); ++i) {
    out += i == 0 ? "{" : ",{";
    write_token(out, names, positions[i].chosen);
    out += R"(,"top_logprobs":[)";
    for (std::size_t k = 0; k < positions[i].top.size(); ++k) {
      out += k == 0 ? "{" : ",{";
      write_token(out, names, positions[i].top[k]);
      out += '}';
    }
    out += "]}";
  }
  out += "]}";
}

std::size_t write_completion_logprobs(std::string& out, const TokenNames& names, const EchoedPrompt& prompt,
                                      std::span<const PositionLogprobs> positions, std::size_t offset) {
  std::string offsets;
  std::string scores;
  std::string tokens;
  std::string tops;
  const auto add = [&](Token token, const PositionLogprobs* position) {
    const std::string_view comma = offsets.empty() ? "" : ",";
    const std::string name = names.of(token);
    offsets += fmt::format("{}{}", comma, offset);
    offset += characters(name);
    tokens += comma;
    json::write_quoted_to(tokens, name);
    scores += comma;
    tops += comma;
    if (position == nullptr) {
      scores += "null";
      tops += "null";
      return;
    }
    append_float(scores, position->chosen.logprob);
    write_top_map(tops, names, *position);
  };
  for (std::size_t i = 0; i < prompt.tokens.size(); ++i) {
    add(prompt.tokens[i], i == 0 || i > prompt.scores.size() ? nullptr : &prompt.scores[i - 1]);
  }
  for (const PositionLogprobs& position : positions) {
    add(position.chosen.token, &position);
  }
  out += fmt::format(R"({{"text_offset":[{}],"token_logprobs":[{}],"tokens":[{}],"top_logprobs":[{}]}})",
                     offsets, scores, tokens, tops);
  return offset;
}

void write_prompt_logprobs(std::string& out, const TokenNames& names,
                           std::span<const PositionLogprobs> positions) {
  out += "[null";
  for (const PositionLogprobs& position : positions) {
    out += ",{";
    bool first = true;
    for (const TokenLogprob& entry : shown(position)) {
      out += fmt::format(R"({}"{}":{{"logprob":)", first ? "" : ",", entry.token);
      append_float(out, entry.logprob);
      add_number(out, "rank", entry.rank);
      add_text(out, "decoded_token", names.of(entry.token));
      out += '}';
      first = false;
    }
    out += '}';
  }
  out += ']';
}

}  // namespace llmd::engine
