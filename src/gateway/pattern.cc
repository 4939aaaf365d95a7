#include "gateway/pattern.h"

#include <re2/re2.h>

namespace llmd::gateway {
namespace {

constexpr std::int64_t kMostMemory = 1 << 20;  // of one compiled expression

RE2::Options options() {
  RE2::Options chosen;
  chosen.set_log_errors(false);
  chosen.set_max_mem(kMostMemory);
  return chosen;
}

class Re2Pattern final : public Pattern {
 public:
  explicit Re2Pattern(std::string_view expression)
      : expression_(re2::StringPiece(expression.data(), expression.size()), options()) {}
  bool matches(std::string_view text) const override {
    return RE2::FullMatch(re2::StringPiece(text.data(), text.size()), expression_);
  }
  const RE2& expression() const { return expression_; }

 private:
  RE2 expression_;
};

}  // namespace

Result<std::shared_ptr<const Pattern>> Pattern::compile(std::string_view expression) {
  auto made = std::make_shared<const Re2Pattern>(expression);
  if (!made->expression().ok()) {
    return invalid_argument("regular expression '{}': {}", expression, made->expression().error());
  }
  return made;
}

}  // namespace llmd::gateway
