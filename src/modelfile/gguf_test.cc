// GGUF files made by hand, right and wrong.

#include "modelfile/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace llmd::modelfile {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Builder {
 public:
  template <typename T>
  Builder& put(const T& value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Builder& text(std::string_view value) {
    put(std::uint64_t{value.size()});
    bytes_ += value;
    return *this;
  }
  Builder& header(std::uint64_t tensors, std::uint64_t values, std::uint32_t version = 3) {
    bytes_ = "GGUF";
    return put(version).put(tensors).put(values);
  }
  template <typename T>
  Builder& value(std::string_view key, std::uint32_t type, const T& content) {
    return text(key).put(type).put(content);
  }
  Builder& tensor(std::string_view name, const std::vector<std::uint64_t>& fastest_first, std::uint32_t type,
                  std::uint64_t offset) {
    text(name).put(static_cast<std::uint32_t>(fastest_first.size()));
    for (const std::uint64_t extent : fastest_first) {
      put(extent);
    }
    return put(type).put(offset);
  }
  Builder& align(std::size_t to = 32) {
    bytes_.resize((bytes_.size() + to - 1) / to * to);
    return *this;
  }
  Builder& zeros(std::size_t count) {
    bytes_.append(count, '\0');
    return *this;
  }

  const std::string& bytes() const { return bytes_; }
  Result<GgufFile> parse() const { return GgufFile::parse(std::as_bytes(std::span(bytes_)), "test.gguf"); }
  std::string error() const {
    const auto file = parse();
    return file ? "no error" : file.error().message;
  }

 private:
  std::string bytes_;
};

TEST(Gguf, ReadsEveryKindOfValue) {
  Builder builder;
  builder.header(0, 8)
      .value("u8", 0, std::uint8_t{200})
      .value("i32", 5, std::int32_t{-7})
      .value("u64", 10, std::uint64_t{1} << 40U)
      .value("f32", 6, 0.5F)
      .value("bool", 7, std::uint8_t{1});
  builder.text("string").put(std::uint32_t{8}).text("héllo");
  builder.text("strings")
      .put(std::uint32_t{9})
      .put(std::uint32_t{8})
      .put(std::uint64_t{2})
      .text("a")
      .text("");
  builder.text("ints").put(std::uint32_t{9}).put(std::uint32_t{3}).put(std::uint64_t{2});
  builder.put(std::int16_t{-1}).put(std::int16_t{3});
  const auto file = builder.parse();
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(*file->integer("u8"), 200);
  EXPECT_EQ(*file->integer("i32"), -7);
  EXPECT_EQ(*file->integer("u64"), std::int64_t{1} << 40U);
  EXPECT_EQ(*file->number("f32"), 0.5);
  EXPECT_EQ(*file->number("i32"), -7);
  EXPECT_TRUE(*file->boolean("bool"));
  EXPECT_EQ(*file->string("string"), "héllo");
  EXPECT_THAT(*file->strings("strings"), ElementsAre("a", ""));
  EXPECT_THAT(*file->integers("ints"), ElementsAre(-1, 3));
}

TEST(Gguf, GivesTensorsSlowestDimensionFirst) {
  Builder builder;
  builder.header(2, 0).tensor("matrix", {4, 2}, 0, 0).tensor("q", {64}, 3, 32).align();
  const std::size_t data = builder.bytes().size();
  builder.zeros(32 + 40);
  const auto file = builder.parse();
  ASSERT_TRUE(file) << file.error().message;
  const TensorView* const matrix = file->tensor("matrix");
  ASSERT_NE(matrix, nullptr);
  EXPECT_THAT(matrix->shape, ElementsAre(2, 4));
  EXPECT_EQ(matrix->bytes.size(), 32U);
  EXPECT_EQ(reinterpret_cast<const char*>(matrix->bytes.data()), builder.bytes().data() + data);
  EXPECT_EQ(file->tensor("q")->type, TensorType::Q4_1);
  EXPECT_EQ(file->tensor("q")->bytes.size(), 40U);
  EXPECT_EQ(file->tensor("none"), nullptr);
}

TEST(Gguf, HonoursItsOwnAlignment) {
  Builder builder;
  builder.header(1, 1).value("general.alignment", 4, std::uint32_t{64}).tensor("t", {2}, 0, 64).align(64);
  const std::size_t data = builder.bytes().size();
  builder.zeros(64).put(1.5F).put(2.5F);
  const auto file = builder.parse();
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(reinterpret_cast<const char*>(file->tensor("t")->bytes.data()),
            builder.bytes().data() + data + 64);
}

TEST(Gguf, SaysWhichKeyIsMissingOrOfAnotherType) {
  Builder builder;
  builder.header(0, 1).value("a", 4, std::uint32_t{1});
  const auto file = builder.parse();
  ASSERT_TRUE(file);
  EXPECT_EQ(file->string("b").error().message, "test.gguf: the file has no key b");
  EXPECT_EQ(file->string("b").error().kind, ErrorKind::NotFound);
  EXPECT_EQ(file->string("a").error().message, "test.gguf: a: expected a string");
}

struct Mistake {
  std::string name;
  Builder file;
  std::string message;
};

std::vector<Mistake> mistakes() {
  const std::uint64_t huge = std::uint64_t{1} << 62U;
  return {
      {"OtherMagic", Builder().text("GGML"), "not a GGUF file"},
      {"OldVersion", Builder().header(0, 0, 1), "version 1 is not supported"},
      {"MoreValuesThanBytes", Builder().header(0, huge), "more than fit into the file"},
      {"MoreTensorsThanBytes", Builder().header(huge, 0), "more than fit into the file"},
      {"KeyBeyondTheEnd", Builder().header(0, 1).put(huge).zeros(20), "reaches beyond the end"},
      {"UnknownValueType", Builder().header(0, 1).value("k", 99, std::uint64_t{0}),
       "k: unknown value type 99"},
      {"ArrayBeyondTheEnd",
       Builder().header(0, 1).text("k").put(std::uint32_t{9}).put(std::uint32_t{4}).put(huge).zeros(8),
       "reaches beyond the end"},
      {"ArrayOfArrays",
       Builder()
           .header(0, 1)
           .text("k")
           .put(std::uint32_t{9})
           .put(std::uint32_t{9})
           .put(std::uint64_t{1})
           .zeros(64),
       "arrays of arrays"},
      {"SameKeyTwice", Builder().header(0, 2).value("k", 4, 1U).value("k", 4, 2U).zeros(8),
       "k: the key occurs twice"},
      {"BadAlignment", Builder().header(0, 1).value("general.alignment", 4, 24U), "24 is no power of two"},
      {"NoDimensions", Builder().header(1, 0).tensor("t", {}, 0, 0).zeros(8), "tensor t: 0 dimensions"},
      {"OverflowingShape", Builder().header(1, 0).tensor("t", {huge, huge}, 0, 0),
       "tensor t: impossible dimension"},
      {"NegativeDimension", Builder().header(1, 0).tensor("t", {~std::uint64_t{0}}, 0, 0),
       "impossible dimension -1"},
      {"PartOfABlock", Builder().header(1, 0).tensor("t", {33}, 8, 0), "no whole number of Q8_0 blocks"},
      {"UnknownTensorType", Builder().header(1, 0).tensor("t", {32}, 10, 0),
       "tensor type 10 is not supported"},
      {"DataBeyondTheEnd", Builder().header(1, 0).tensor("t", {32}, 0, 0).align().zeros(127),
       "do not lie in the file"},
      {"OffsetBeyondTheEnd", Builder().header(1, 0).tensor("t", {1}, 0, huge).align().zeros(64),
       "do not lie in the file"},
      {"UnalignedOffset", Builder().header(1, 0).tensor("t", {1}, 0, 4).align().zeros(64),
       "do not lie in the file"},
      {"SameTensorTwice",
       Builder().header(2, 0).tensor("t", {1}, 0, 0).tensor("t", {1}, 0, 0).align().zeros(64),
       "tensor t: the name occurs twice"},
  };
}

class BadGguf : public ::testing::TestWithParam<Mistake> {};

TEST_P(BadGguf, IsRefusedWithAReason) {
  EXPECT_THAT(GetParam().file.error(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(Gguf, BadGguf, ::testing::ValuesIn(mistakes()),
                         [](const auto& info) { return info.param.name; });

TEST(Gguf, CutShortAnywhereIsAnErrorAndNeverACrash) {
  Builder builder;
  builder.header(1, 2)
      .value("a", 4, 1U)
      .text("s")
      .put(std::uint32_t{9})
      .put(std::uint32_t{8})
      .put(std::uint64_t{1});
  builder.text("x").tensor("t", {8}, 0, 0).align().zeros(32);
  for (std::size_t size = 0; size < builder.bytes().size(); ++size) {
    const auto part = std::as_bytes(std::span(builder.bytes())).first(size);
    EXPECT_FALSE(GgufFile::parse(part, "cut")) << size;
  }
}

}  // namespace
}  // namespace llmd::modelfile
