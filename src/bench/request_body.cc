#include "bench/request_body.h"

#include "json/value.h"

namespace llmd::bench {
namespace {

constexpr std::size_t kDigits = 12;

std::string filler(std::size_t bytes) {
  constexpr std::string_view kWords = "the quick brown fox jumps over the lazy dog while nobody looks ";
  std::string text;
  while (text.size() < bytes) {
    text += kWords;
  }
  text.resize(bytes);
  return text;
}

std::size_t without_number(std::size_t bytes) {
  return bytes > kDigits ? bytes - kDigits : 0;
}

// Neighbouring requests belong to different groups, in no order that a scheduler could learn (splitmix64).
std::uint64_t scatter(std::uint64_t number) {
  number += 0x9e3779b97f4a7c15U;
  number = (number ^ (number >> 30U)) * 0xbf58476d1ce4e5b9U;
  number = (number ^ (number >> 27U)) * 0x94d049bb133111ebU;
  return number ^ (number >> 31U);
}

}  // namespace

RequestBody::RequestBody(const LoadOptions& options)
    : groups_(options.prefix_groups),
      seed_(options.seed),
      digits_(options.same_prompt || options.prompt_bytes <= kDigits ? 0 : kDigits) {
  std::string model;
  json::write_quoted_to(model, options.model);
  opening_ = fmt::format(R"({{"model":{},)", model);
  const std::string_view user = R"({"role":"user","content":")";
  if (options.chat) {
    opening_ += R"("messages":[)";
    opening_ += groups_ > 0 ? R"({"role":"system","content":")" : user;
    between_ = groups_ > 0 ? fmt::format(R"("}},{})", user) : "";
  } else {
    opening_ += R"("prompt":")";
  }
  prefix_ = groups_ > 0 ? filler(without_number(options.prefix_bytes)) : "";
  question_ = filler(options.prompt_bytes - digits_) + (options.chat ? R"("}],)" : R"(",)");
  question_ += fmt::format(R"("max_tokens":{},"temperature":0)", options.max_tokens);
  question_ += options.ignore_eos ? R"(,"ignore_eos":true)" : "";
  question_ += options.stream ? R"(,"stream":true})" : "}";
}

std::string RequestBody::render(std::uint64_t number) const {
  std::string body = opening_;
  if (groups_ > 0) {
    body += group_text(number) + between_;
  }
  if (digits_ > 0) {
    body += fmt::format("{:0{}}", number, digits_);
  }
  return body + question_;
}

std::string RequestBody::group_text(std::uint64_t number) const {
  return fmt::format("{:0{}}{}", scatter(number + seed_) % groups_, kDigits, prefix_);
}

}  // namespace llmd::bench
