#include "modelfile/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

namespace llmd::modelfile {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string file_of(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof size) + header +
         std::string(data_bytes, '\1');
}

Result<TensorMap> parse(const std::string& bytes) {
  return parse_safetensors(std::as_bytes(std::span(bytes)));
}

TEST(Safetensors, GivesShapesTypesAndBytes) {
  const std::string bytes = file_of(R"({"__metadata__": {"format": "pt"},
    "b": {"dtype": "BF16", "shape": [3], "data_offsets": [16, 22]},
    "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
    "ids": {"dtype": "I64", "shape": [1], "data_offsets": [22, 30]}}  )",
                                    30);
  const auto tensors = parse(bytes);
  ASSERT_TRUE(tensors) << tensors.error().message;
  EXPECT_EQ(tensors->size(), 2U);
  EXPECT_THAT(tensors->at("a").shape, ElementsAre(2, 2));
  EXPECT_EQ(tensors->at("b").type, TensorType::BF16);
  EXPECT_EQ(tensors->at("b").bytes.size(), 6U);
}

struct Mistake {
  std::string name;
  std::string bytes;
  std::string message;
};

std::vector<Mistake> mistakes() {
  const auto one = [](const std::string& entry, std::size_t data) {
    return file_of("{\"t\": " + entry + "}", data);
  };
  return {
      {"Empty", "", "too short"},
      {"HugeHeader", std::string(8, '\xFF'), "does not fit"},
      {"NoJson", file_of("hello", 0), "not JSON"},
      {"NoObject", file_of("[]", 0), "expected a JSON object"},
      {"UnknownType", one(R"({"dtype": "F7", "shape": [1], "data_offsets": [0, 1]})", 1), "t: dtype"},
      {"NoShape", one(R"({"dtype": "F32", "data_offsets": [0, 4]})", 4), "t: shape"},
      {"NegativeShape", one(R"({"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]})", 4),
       "impossible dimension"},
      {"OverflowingShape",
       one(R"({"dtype": "F32", "shape": [4611686018427387904, 16], "data_offsets": [0, 4]})", 4),
       "impossible dimension"},
      {"SizeAndShapeDiffer", one(R"({"dtype": "F32", "shape": [2], "data_offsets": [0, 4]})", 4),
       "do not fit"},
      {"OffsetsBackwards", one(R"({"dtype": "F32", "shape": [1], "data_offsets": [4, 0]})", 4), "do not fit"},
      {"BeyondTheEnd", one(R"({"dtype": "F32", "shape": [1], "data_offsets": [0, 4]})", 3),
       "end after the file"},
      {"Hole", one(R"({"dtype": "F32", "shape": [1], "data_offsets": [4, 8]})", 8), "leave a hole"},
      {"BytesLeftOver", one(R"({"dtype": "F32", "shape": [1], "data_offsets": [0, 4]})", 5), "1 bytes after"},
      {"Overlap",
       file_of(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                              "b": {"dtype": "F32", "shape": [1], "data_offsets": [2, 6]}})",
               6),
       "overlap"},
  };
}

class BadSafetensors : public ::testing::TestWithParam<Mistake> {};

TEST_P(BadSafetensors, IsRefusedWithAReason) {
  const auto tensors = parse(GetParam().bytes);
  ASSERT_FALSE(tensors);
  EXPECT_THAT(tensors.error().message, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(Safetensors, BadSafetensors, ::testing::ValuesIn(mistakes()),
                         [](const auto& info) { return info.param.name; });

class SafetensorsFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "llmd-st-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void write(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ / name, std::ios::binary) << content;
  }
  std::filesystem::path folder_;
};

std::string one_tensor(const std::string& name) {
  return file_of("{\"" + name + R"(": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}})", 4);
}

TEST_F(SafetensorsFolder, WithShardsIsOneSet) {
  write("model.safetensors.index.json", R"({"weight_map": {"a": "x.safetensors", "b": "y.safetensors"}})");
  write("x.safetensors", one_tensor("a"));
  write("y.safetensors", one_tensor("b"));
  const auto set = SafetensorsSet::open(folder_);
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_NE(set->tensor("a"), nullptr);
  EXPECT_NE(set->tensor("b"), nullptr);
  EXPECT_EQ(set->tensor("c"), nullptr);
}

TEST_F(SafetensorsFolder, NamesTheShardThatIsMissing) {
  write("model.safetensors.index.json", R"({"weight_map": {"a": "x.safetensors"}})");
  EXPECT_THAT(SafetensorsSet::open(folder_).error().message, HasSubstr("x.safetensors"));
}

TEST_F(SafetensorsFolder, DoesNotFollowPathsOutOfTheFolder) {
  write("model.safetensors.index.json", R"({"weight_map": {"a": "../x.safetensors"}})");
  EXPECT_THAT(SafetensorsSet::open(folder_).error().message, HasSubstr("weight_map.a: expected a file name"));
}

TEST_F(SafetensorsFolder, RefusesATensorInTwoShards) {
  write("model.safetensors.index.json", R"({"weight_map": {"a": "x.safetensors", "b": "y.safetensors"}})");
  write("x.safetensors", one_tensor("a"));
  write("y.safetensors", one_tensor("a"));
  EXPECT_THAT(SafetensorsSet::open(folder_).error().message, HasSubstr("in another shard too"));
}

}  // namespace
}  // namespace llmd::modelfile
