#include "tokenizer/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace llmd::tokenizer {
namespace {

using ::testing::HasSubstr;

// A tokenizer that only knows its template and its ends.
class TemplateOnly final : public Tokenizer {
 public:
  explicit TemplateOnly(std::string source) : source_(std::move(source)) {}
  std::vector<Token> encode(std::string_view, const EncodeOptions&) const override { return {}; }
  std::string piece(Token token, bool) const override { return token == 1 ? "<s>" : "</s>"; }
  std::string decode(std::span<const Token>, bool) const override { return {}; }
  int vocab_size() const override { return 3; }
  bool is_special(Token) const override { return true; }
  std::optional<Token> token_of(std::string_view) const override { return std::nullopt; }
  std::optional<Token> bos() const override { return 1; }
  const std::vector<Token>& end_tokens() const override { return ends_; }
  const std::string& chat_template() const override { return source_; }

 private:
  std::string source_;
  std::vector<Token> ends_{2};
};

constexpr std::string_view kSimple =
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ eos_token }}{% endfor %}"
    "{% if tools %}{{ tools | tojson }}{% endif %}{% if add_generation_prompt %}[assistant]{% endif %}{{ "
    "mood }}";

ChatInput input(std::string_view messages) {
  ChatInput result;
  result.messages = boost::json::parse(boost::json::string_view(messages.data(), messages.size())).as_array();
  return result;
}

Result<std::string> render(std::string_view source, const ChatInput& chat) {
  LLMD_TRY(const auto compiled, ChatTemplate::make(TemplateOnly(std::string(source))));
  return compiled.render(chat);
}

TEST(ChatTemplate, PutsTheConversationIntoTheModelsWords) {
  EXPECT_EQ(render(kSimple, input(R"([{"role": "user", "content": "hi"}])")).value(),
            "<s>[user]hi</s>[assistant]");
}

TEST(ChatTemplate, JoinsTextPartsWhenTheTemplateWantsText) {
  const auto chat = input(
      R"([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}])");
  EXPECT_EQ(render(kSimple, chat).value(), "<s>[user]a\nb</s>[assistant]");
}

TEST(ChatTemplate, KeepsPartsWhenTheTemplateLoopsOverThem) {
  const auto chat = input(
      R"([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}])");
  EXPECT_EQ(
      render("{% for m in messages %}{% for p in m['content'] %}<{{ p.text }}>{% endfor %}{% endfor %}", chat)
          .value(),
      "<a><b>");
}

TEST(ChatTemplate, RefusesPicturesForATextModel) {
  const auto text = render(
      kSimple, input(R"([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}])"));
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().message, "messages[0].content[0]: only text parts are supported");
}

TEST(ChatTemplate, GivesToolsAndExtraVariables) {
  auto chat = input(R"([{"role": "user", "content": "x"}])");
  chat.tools = boost::json::parse(R"([{"type": "function"}])").as_array();
  chat.extra["mood"] = "!";
  chat.add_generation_prompt = false;
  EXPECT_EQ(render(kSimple, chat).value(), "<s>[user]x</s>[{\"type\": \"function\"}]!");
}

TEST(ChatTemplate, ReadsArgumentsOfToolCallsFromTheirText) {
  const auto chat = input(
      R"([{"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": "{\"x\": 1}"}}]}])");
  EXPECT_EQ(
      render("{{ messages[0].tool_calls[0].function.arguments.x }}{{ messages[0].content == '' }}", chat)
          .value(),
      "1True");
}

TEST(ChatTemplate, LeavesTheLastMessageOpenToBeContinued) {
  auto chat =
      input(R"([{"role": "user", "content": "count"}, {"role": "assistant", "content": "one, two,  "}])");
  chat.add_generation_prompt = false;
  chat.continue_final_message = true;
  EXPECT_EQ(render(kSimple, chat).value(), "<s>[user]count</s>[assistant]one, two,  ");
  EXPECT_EQ(render("{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}.{% endfor %}", chat).value(),
            "[user]count.[assistant]one, two,");
}

TEST(ChatTemplate, CannotBothContinueAndBegin) {
  auto chat = input(R"([{"role": "user", "content": "x"}])");
  chat.continue_final_message = true;
  EXPECT_FALSE(render(kSimple, chat));
}

TEST(ChatTemplate, ReportsWhatTheTemplateRaises) {
  const auto text = render("{{ raise_exception('no system role, please') }}",
                           input(R"([{"role": "user", "content": "x"}])"));
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().kind, ErrorKind::InvalidArgument);
  EXPECT_EQ(text.error().message, "chat template: line 1: no system role, please");
}

TEST(ChatTemplate, IsNeededForChat) {
  const auto compiled = ChatTemplate::make(TemplateOnly(""));
  ASSERT_FALSE(compiled);
  EXPECT_EQ(compiled.error().kind, ErrorKind::FailedPrecondition);
  EXPECT_THAT(compiled.error().advice, HasSubstr("--chat-template"));
}

TEST(ChatTemplate, RefusesMessagesWithoutRole) {
  EXPECT_EQ(render(kSimple, input(R"([{"content": "x"}])")).error().message, "messages[0].role: missing");
  EXPECT_EQ(render(kSimple, ChatInput{}).error().message, "messages: must not be empty");
}

}  // namespace
}  // namespace llmd::tokenizer
