// Small tokenizers written as files and loaded as a user's model folder is. The big published ones are
// compared in tests/conformance/tokenizer.
#include "tokenizer/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>

#include "tokenizer/detokenize.h"

namespace llmd::tokenizer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace bj = boost::json;

// Byte b as byte-level files write it.
std::string alphabet(unsigned byte) {
  const auto printable = [](unsigned b) {
    return (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
  };
  unsigned code_point = byte;
  if (!printable(byte)) {
    code_point = 0x100;
    for (unsigned b = 0; b < byte; ++b)
      code_point += printable(b) ? 0 : 1;
  }
  if (code_point < 0x80)
    return std::string(1, static_cast<char>(code_point));
  return {static_cast<char>(0xC0 | (code_point >> 6)), static_cast<char>(0x80 | (code_point & 0x3F))};
}

// A model folder that is removed with the object. Starts as a byte-level tokenizer: id of a byte = the byte;
// 256 "<s>", 257 "</s>", 258 "<think>" (not special).
class Folder {
 public:
  Folder()
      : path_(std::filesystem::temp_directory_path() /
              ("llmd-tokenizer-" + std::to_string(::getpid()) + "-" + std::to_string(++count_))) {
    std::filesystem::create_directories(path_);
    bj::object vocab;
    for (unsigned byte = 0; byte < 256; ++byte)
      vocab[alphabet(byte)] = byte;
    root = bj::parse(R"({"added_tokens": [
        {"id": 256, "content": "<s>", "special": true}, {"id": 257, "content": "</s>", "special": true},
        {"id": 258, "content": "<think>", "special": false, "normalized": false}],
      "normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}, "decoder": {"type": "ByteLevel"},
      "model": {"type": "BPE", "merges": []}})")
               .as_object();
    root["model"].as_object()["vocab"] = vocab;
  }
  ~Folder() { std::filesystem::remove_all(path_); }

  void write(std::string_view name, std::string_view content) const {
    std::ofstream(path_ / name) << content;
  }
  bj::object& model() { return root["model"].as_object(); }

  // Adds merges and the vocabulary entries they make, from id 259 on.
  void merges(std::initializer_list<std::pair<std::string, std::string>> pairs) {
    for (const auto& [left, right] : pairs) {
      model()["merges"].as_array().push_back(bj::value(left + " " + right));
      model()["vocab"].as_object()[left + right] = next_++;
    }
  }
  Result<std::shared_ptr<const Tokenizer>> load() const {
    write("tokenizer.json", bj::serialize(root));
    return load_tokenizer(path_);
  }
  const std::filesystem::path& path() const { return path_; }

  bj::object root;

 private:
  static inline int count_ = 0;
  std::filesystem::path path_;
  int next_ = 259;
};

std::vector<std::string> words(const Tokenizer& tokenizer, std::string_view text,
                               EncodeOptions options = {}) {
  std::vector<std::string> result;
  for (const auto token : tokenizer.encode(text, options))
    result.push_back(tokenizer.piece(token, false));
  return result;
}

TEST(ByteTokenizer, EveryByteIsItsOwnToken) {
  const Folder folder;
  const auto tokenizer = folder.load().value();
  EXPECT_EQ(tokenizer->vocab_size(), 259);
  EXPECT_THAT(tokenizer->encode("A \n\xC3\xBF"), ElementsAre('A', ' ', '\n', 0xC3, 0xBF));
  std::string all;
  for (int byte = 0; byte < 256; ++byte)
    all += static_cast<char>(byte);
  const auto tokens = tokenizer->encode(all);
  ASSERT_EQ(tokens.size(), 256u);
  for (int byte = 0; byte < 256; ++byte)
    EXPECT_EQ(tokens[static_cast<std::size_t>(byte)], byte);
}

TEST(ByteTokenizer, DecodesWhatItEncoded) {
  const Folder folder;
  const auto tokenizer = folder.load().value();
  const std::string text = "Grüße, 世界! 😀\n\t tabs";
  const auto tokens = tokenizer->encode(text);
  EXPECT_EQ(tokenizer->decode(tokens), text);
  Detokenizer stream(*tokenizer);
  std::string streamed;
  for (const auto token : tokens)
    streamed += stream.push(token);
  EXPECT_EQ(streamed + stream.flush(), text);
}

TEST(ByteTokenizer, InvalidUtf8IsEncodedByteByByteAndDecodedAsReplacement) {
  const Folder folder;
  const auto tokenizer = folder.load().value();
  EXPECT_THAT(tokenizer->encode("a\xff\xfe"), ElementsAre('a', 0xFF, 0xFE));
  EXPECT_EQ(tokenizer->decode(std::vector<Token>{'a', 0xFF}), "a\uFFFD");
}

TEST(SpecialTokens, AreRecognisedOnlyWhenAsked) {
  const Folder folder;
  const auto tokenizer = folder.load().value();
  EXPECT_THAT(tokenizer->encode("<s>a"), ElementsAre(256, 'a'));
  EXPECT_THAT(tokenizer->encode("<s>", {.parse_special = false}), ElementsAre('<', 's', '>'));
  EXPECT_THAT(tokenizer->encode("<think>", {.parse_special = false}), ElementsAre(258));
}

TEST(SpecialTokens, AreLeftOutOfDecodedTextUnlessWanted) {
  const Folder folder;
  const auto tokenizer = folder.load().value();
  const std::vector<Token> tokens{256, 'h', 'i', 258, 257};
  EXPECT_EQ(tokenizer->decode(tokens), "hi<think>");
  EXPECT_EQ(tokenizer->decode(tokens, false), "<s>hi<think></s>");
  EXPECT_TRUE(tokenizer->is_special(256));
  EXPECT_FALSE(tokenizer->is_special(258));
  EXPECT_EQ(tokenizer->piece(99999), "");
}

TEST(SpecialTokens, AreFoundByTheirText) {
  const Folder folder;
  const auto tokenizer = folder.load().value();
  EXPECT_EQ(tokenizer->token_of("</s>"), 257);
  EXPECT_EQ(tokenizer->token_of(" "), ' ');
  EXPECT_EQ(tokenizer->token_of("nope"), std::nullopt);
}

TEST(AddedTokens, TakeTheLongestAtTheLeftmostPlace) {
  Folder folder;
  folder.root["added_tokens"] = bj::parse(
      R"([{"id": 256, "content": "<a"}, {"id": 257, "content": "<a>"}, {"id": 258, "content": "a>b"}])");
  EXPECT_THAT(words(*folder.load().value(), "x<a>b<ac"), ElementsAre("x", "<a>", "b", "<a", "c"));
}

TEST(AddedTokens, MaySwallowBlanksAndInsistOnWordBorders) {
  Folder folder;
  folder.root["added_tokens"] = bj::parse(R"([{"id": 256, "content": "<m>", "lstrip": true, "rstrip": true},
                                              {"id": 257, "content": "cat", "single_word": true}])");
  const auto tokenizer = folder.load().value();
  EXPECT_THAT(words(*tokenizer, "a  <m> \nb"), ElementsAre("a", "<m>", "b"));
  EXPECT_THAT(words(*tokenizer, "cat-cats"), ElementsAre("cat", "-", "c", "a", "t", "s"));
}

TEST(Bpe, MergesTheLowestRankFirstAndFromTheLeft) {
  Folder folder;
  folder.merges({{"b", "c"}, {"a", "b"}, {"a", "a"}, {"aa", "aa"}});
  const auto tokenizer = folder.load().value();
  EXPECT_THAT(words(*tokenizer, "abc"), ElementsAre("a", "bc"));
  EXPECT_THAT(words(*tokenizer, "abab"), ElementsAre("ab", "ab"));
  EXPECT_THAT(words(*tokenizer, "aaaaaaa"), ElementsAre("aaaa", "aa", "a"));
}

TEST(Bpe, LongWordsMergeAsShortOnesDo) {
  Folder folder;
  folder.merges({{"a", "b"}, {"ab", "ab"}, {"b", "a"}, {"abab", "a"}, {"c", "ab"}});
  const auto tokenizer = folder.load().value();
  // A long word whose merges cannot cross "zz" is the short words one after the other.
  std::string text;
  std::vector<std::string> expected;
  for (unsigned i = 0; i < 200; ++i) {
    std::string part;
    for (unsigned k = 0; k < 1 + i % 13; ++k)
      part += "abc"[(i * 7 + k * k + k / 3) % 3];
    part += "zz";
    text += part;
    for (auto& word : words(*tokenizer, part))
      expected.push_back(std::move(word));
  }
  EXPECT_EQ(words(*tokenizer, text), expected);
}

TEST(Bpe, MergesComeAsTextsOrPairsAndWordsMaySkipThem) {
  Folder folder;
  folder.merges({{"\xC4\xA0", "a"}});
  folder.model()["merges"].as_array().push_back(bj::parse(R"(["b", "c"])"));
  folder.model()["vocab"].as_object()["bc"] = 260;
  folder.model()["vocab"].as_object()["bcd"] = 261;
  EXPECT_THAT(words(*folder.load().value(), "bcd a"), ElementsAre("bc", "d", " a"));
  folder.model()["ignore_merges"] = true;
  EXPECT_THAT(words(*folder.load().value(), "bcd a"), ElementsAre("bcd", " a"));
}

struct SplitCase {
  std::string_view pre_tokenizer;
  std::string_view text;
  std::vector<std::string> expected;
};
class Splits : public testing::TestWithParam<SplitCase> {};

// Every pair of neighbours merges, so that tokens show the words.
TEST_P(Splits, CutTheTextIntoWords) {
  Folder folder;
  folder.root["pre_tokenizer"] =
      bj::parse(bj::string_view(GetParam().pre_tokenizer.data(), GetParam().pre_tokenizer.size()));
  folder.model()["ignore_merges"] = true;
  int id = 259;
  for (const auto& word : GetParam().expected) {
    std::string text;
    for (const char c : word)
      text += alphabet(static_cast<unsigned char>(c));
    auto& vocab = folder.model()["vocab"].as_object();
    if (!vocab.contains(text))
      vocab[text] = id++;
  }
  EXPECT_EQ(words(*folder.load().value(), GetParam().text), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, Splits,
    testing::Values(
        SplitCase{R"({"type": "ByteLevel", "add_prefix_space": false})",
                  "Don't  go 12ab!?\n",
                  {"Don", "'t", " ", " go", " 12", "ab", "!?", "\n"}},
        SplitCase{R"({"type": "ByteLevel"})", "hi", {" hi"}},
        SplitCase{
            R"({"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true}, {"type": "ByteLevel", "add_prefix_space": false}]})",
            "a12 3",
            {"a", "1", "2", " ", "3"}},
        SplitCase{
            R"({"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "\\p{N}{1,3}"}, "behavior": "Isolated"}, {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})",
            "12345x",
            {"123", "45", "x"}},
        SplitCase{
            R"({"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious"}, {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})",
            "a b  c",
            {"a ", "b ", " ", "c"}},
        SplitCase{
            R"({"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithNext"}, {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})",
            "a b  c",
            {"a", " b", " ", " c"}},
        SplitCase{
            R"({"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "\\w+"}, "behavior": "Removed", "invert": true}, {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})",
            "a, b",
            {"a", "b"}},
        SplitCase{
            R"({"type": "Sequence", "pretokenizers": [{"type": "Punctuation"}, {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})",
            "a,.b",
            {"a", ",", ".", "b"}}));

TEST(Normalizer, ComposesBeforeSplitting) {
  Folder folder;
  folder.root["normalizer"] = bj::parse(R"({"type": "NFC"})");
  EXPECT_THAT(folder.load().value()->encode("e\xCC\x81"), ElementsAre(0xC3, 0xA9));
}

TEST(PostProcessor, PutsTokensAroundTheText) {
  Folder folder;
  folder.root["post_processor"] = bj::parse(R"({"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [256]}, "</s>": {"id": "</s>", "ids": [257]}}})");
  const auto tokenizer = folder.load().value();
  EXPECT_THAT(tokenizer->encode("a"), ElementsAre(256, 'a', 257));
  EXPECT_THAT(tokenizer->encode("a", {.add_special_tokens = false}), ElementsAre('a'));
}

TEST(ModelFolder, SaysWhatEndsATurnAndHowToChat) {
  const Folder folder;
  folder.write("tokenizer_config.json",
               R"({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "chat_template": "old"})");
  folder.write("generation_config.json", R"({"eos_token_id": [257, 10]})");
  folder.write("chat_template.jinja", "new");
  const auto tokenizer = folder.load().value();
  EXPECT_EQ(tokenizer->bos(), 256);
  EXPECT_THAT(tokenizer->end_tokens(), ElementsAre(257, 10));
  EXPECT_EQ(tokenizer->chat_template(), "new");
}

TEST(ModelFolder, WithoutConfigHasNoTemplate) {
  const Folder folder;
  const auto tokenizer = folder.load().value();
  EXPECT_EQ(tokenizer->chat_template(), "");
  EXPECT_THAT(tokenizer->end_tokens(), IsEmpty());
  EXPECT_EQ(tokenizer->bos(), std::nullopt);
}

struct Mistake {
  std::string_view field, json, message;
};
class BrokenFile : public testing::TestWithParam<Mistake> {};

TEST_P(BrokenFile, IsRefusedWithThePlace) {
  Folder folder;
  folder.root[bj::string_view(GetParam().field.data(), GetParam().field.size())] =
      bj::parse(bj::string_view(GetParam().json.data(), GetParam().json.size()));
  const auto tokenizer = folder.load();
  ASSERT_FALSE(tokenizer);
  EXPECT_THAT(tokenizer.error().message, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Mistakes, BrokenFile,
    testing::Values(
        Mistake{"model", R"({"type": "Unigram"})", "tokenizer.json: model.type 'Unigram' is not supported"},
        Mistake{"model", R"({"type": "BPE", "vocab": {"a": "b"}})",
                "model.vocab: the id of 'a' must be an integer"},
        Mistake{"model", R"({"type": "BPE", "vocab": {"a": 0}, "merges": ["a"]})",
                "model.merges: 'a' is not a pair"},
        Mistake{"pre_tokenizer", R"({"type": "Metaspace"})",
                "pre_tokenizer: type 'Metaspace' is not supported"},
        Mistake{"pre_tokenizer", R"({"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated"})",
                "regular expression '('"},
        Mistake{"added_tokens", R"([{"id": -5, "content": "x"}])", "token 'x' has the impossible id -5"},
        Mistake{"post_processor", R"({"type": "BertProcessing", "cls": ["x", 9999], "sep": ["x", 1]})",
                "token 9999 is not in the vocabulary"}));

TEST(ModelFolder, ThatDoesNotExistIsNotFound) {
  const auto tokenizer = load_tokenizer("/nonexistent/model");
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error().kind, ErrorKind::NotFound);
}

}  // namespace
}  // namespace llmd::tokenizer
