// Answers JSON lines about tokenizers and templates, for conformance_test.py. One object per line in and out:
//   {"op": "load", "path": "x.gguf"}                      -> {"vocab_size": 50257}
//   {"op": "encode", "text": "..", "add_special_tokens": false, "parse_special": false} -> {"ids": [..]}
//   {"op": "decode", "ids": [..]}                         -> {"text": ".."}
//   {"op": "render", "template": "..", "context": {..}, "now": 1700000000} -> {"text": ".."}
// Anything that fails answers {"error": "..", "kind": ".."}.
#include <boost/json.hpp>
#include <iostream>
#include <string>

#include "json/value.h"
#include "text/jinja.h"
#include "tokenizer/tokenizer.h"

namespace {

using namespace llmd;

class FixedClock final : public Clock {
 public:
  explicit FixedClock(std::int64_t seconds) : now_(std::chrono::seconds(seconds)) {}
  TimePoint now() const override { return {}; }
  WallTime wall_now() const override { return now_; }

 private:
  WallTime now_;
};

class Probe {
 public:
  Result<json::Object> answer(const json::Object& request) {
    const std::string_view op = request.at("op").as_string();
    if (op == "load")
      return load(request);
    if (op == "render")
      return render(request);
    if (!tokenizer_)
      return failed_precondition("no tokenizer is loaded");
    if (op == "encode")
      return encode(request);
    if (op == "decode")
      return decode(request);
    return invalid_argument("unknown op");
  }

 private:
  Result<json::Object> load(const json::Object& request) {
    LLMD_TRY(tokenizer_, tokenizer::load_tokenizer(std::string_view(request.at("path").as_string())));
    return json::Object{{"vocab_size", tokenizer_->vocab_size()}};
  }

  Result<json::Object> encode(const json::Object& request) const {
    const tokenizer::EncodeOptions options{.add_special_tokens = request.at("add_special_tokens").as_bool(),
                                           .parse_special = request.at("parse_special").as_bool()};
    json::Array ids;
    for (const auto id : tokenizer_->encode(request.at("text").as_string(), options))
      ids.emplace_back(id);
    return json::Object{{"ids", std::move(ids)}};
  }

  Result<json::Object> decode(const json::Object& request) const {
    std::vector<tokenizer::Token> ids;
    for (const auto& id : request.at("ids").as_array())
      ids.push_back(static_cast<tokenizer::Token>(id.as_int64()));
    return json::Object{{"text", tokenizer_->decode(ids, false)}};
  }

  static Result<json::Object> render(const json::Object& request) {
    const FixedClock clock(request.at("now").as_int64());
    LLMD_TRY(const auto compiled,
             text::JinjaTemplate::parse(request.at("template").as_string(), {.clock = &clock}));
    LLMD_TRY(auto rendered, compiled.render(request.at("context").as_object()));
    return json::Object{{"text", rendered}};
  }

  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
};

}  // namespace

int main() {
  Probe probe;
  for (std::string line; std::getline(std::cin, line);) {
    json::Object response;
    if (const auto request = json::parse_object(line); !request) {
      response["error"] = request.error().text();
    } else if (auto result = probe.answer(*request); result) {
      response = std::move(*result);
    } else {
      response["error"] = result.error().text();
      response["kind"] = std::string(to_string(result.error().kind));
    }
    std::cout << json::write(response) << std::endl;
  }
}
