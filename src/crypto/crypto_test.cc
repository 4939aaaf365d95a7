#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "crypto/certificate.h"
#include "crypto/encode.h"
#include "crypto/hash.h"
#include "crypto/random.h"

namespace llmd::crypto {
namespace {

TEST(Hash, GivesThePublishedValues) {
  EXPECT_EQ(to_hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(xxh64(""), 0xef46db3751d8e999ULL);
  EXPECT_EQ(xxh64("abc"), 0x44bc2cf5ad770999ULL);
  EXPECT_EQ(fnv1a_32("a"), 0xe40c292cU);
  EXPECT_EQ(fnv1a_64("a"), 0xaf63dc4c8601ec8cULL);
}

TEST(Hash, OfPiecesIsTheHashOfTheWhole) {
  Sha256 hash;
  hash.update("a");
  hash.update("");
  hash.update("bc");
  EXPECT_EQ(hash.finish(), sha256("abc"));
}

TEST(Encode, Base64HasTheRfcsTestVectors) {
  for (const auto& [bytes, text] : std::vector<std::pair<std::string, std::string>>{{"", ""},
                                                                                    {"f", "Zg=="},
                                                                                    {"fo", "Zm8="},
                                                                                    {"foo", "Zm9v"},
                                                                                    {"foob", "Zm9vYg=="},
                                                                                    {"foobar", "Zm9vYmFy"}}) {
    EXPECT_EQ(to_base64(bytes), text);
    EXPECT_EQ(*from_base64(text), bytes);
  }
  EXPECT_EQ(to_base64("\xfb\xff\xfe", Base64::Url), "-__-");
  EXPECT_EQ(to_base64("f", Base64::Url), "Zg");
  EXPECT_EQ(*from_base64("-__-", Base64::Url), "\xfb\xff\xfe");
}

TEST(Encode, DecodersRefuseWhatNoEncoderWrites) {
  for (const char* text : {"Z", "Zg=", "Zg===", "Z===", "====", "Zh==", "Zm 9", "-__-"}) {
    const bool accepted = from_base64(text).has_value();
    EXPECT_EQ(accepted, std::string_view(text) == "Zg=") << text;  // missing padding is allowed
  }
  EXPECT_EQ(from_hex("0x").error().message, "no hexadecimal digit at 1");
  EXPECT_FALSE(from_hex("abc"));
  EXPECT_EQ(*from_hex("00Ff"), std::string("\0\xff", 2));
}

TEST(Random, GivesDifferentBytesEveryTime) {
  EXPECT_EQ(random_bytes(32).size(), 32U);
  EXPECT_EQ(random_hex(8).size(), 16U);
  EXPECT_NE(random_bytes(16), random_bytes(16));
}

TEST(Random, ComparesSecrets) {
  EXPECT_TRUE(equal_in_constant_time("abc", "abc"));
  EXPECT_FALSE(equal_in_constant_time("abc", "abd"));
  EXPECT_FALSE(equal_in_constant_time("abc", "ab"));
  EXPECT_TRUE(equal_in_constant_time("", ""));
}

X509* read(const std::string& pem) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  return certificate;
}

// What a TLS client does with the server's certificate and its CA file.
bool is_trusted(const std::string& pem, const std::string& authority_pem) {
  X509_STORE* store = X509_STORE_new();
  X509* authority = read(authority_pem);
  X509* certificate = read(pem);
  X509_STORE_add_cert(store, authority);
  X509_STORE_CTX* context = X509_STORE_CTX_new();
  X509_STORE_CTX_init(context, store, certificate, nullptr);
  X509_STORE_CTX_set_purpose(context, X509_PURPOSE_SSL_SERVER);
  const bool trusted = X509_verify_cert(context) == 1;
  X509_STORE_CTX_free(context);
  X509_free(certificate);
  X509_free(authority);
  X509_STORE_free(store);
  return trusted;
}

TEST(Certificate, IsTrustedByWhoeverHasItAsItsCa) {
  const auto now = system_clock().wall_now();
  const auto made = make_self_signed_certificate({.names = {"llmd.local", "10.0.0.1"}}, now);
  ASSERT_TRUE(made) << made.error().text();
  EXPECT_TRUE(is_trusted(made->certificate_pem, made->certificate_pem));
  EXPECT_THAT(made->key_pem, testing::StartsWith("-----BEGIN PRIVATE KEY-----"));
  X509* certificate = read(made->certificate_pem);
  for (const char* host : {"localhost", "llmd.local"}) {
    EXPECT_EQ(X509_check_host(certificate, host, 0, 0, nullptr), 1) << host;
  }
  EXPECT_EQ(X509_check_host(certificate, "other", 0, 0, nullptr), 0);
  for (const char* address : {"127.0.0.1", "::1", "10.0.0.1"}) {
    EXPECT_EQ(X509_check_ip_asc(certificate, address, 0), 1) << address;
  }
  X509_free(certificate);
  const auto days =
      std::chrono::duration_cast<std::chrono::days>(*certificate_expiry(made->certificate_pem) - now);
  EXPECT_NEAR(static_cast<double>(days.count()), 365, 1);
}

TEST(Certificate, SignedByAnAuthorityIsTrustedThroughItOnly) {
  const auto now = system_clock().wall_now();
  const auto authority = make_self_signed_certificate({.common_name = "ca"}, now);
  const auto other = make_self_signed_certificate({.common_name = "other"}, now);
  const auto made = make_signed_certificate({.common_name = "server"}, *authority, now);
  ASSERT_TRUE(made) << made.error().text();
  EXPECT_TRUE(is_trusted(made->certificate_pem, authority->certificate_pem));
  EXPECT_FALSE(is_trusted(made->certificate_pem, other->certificate_pem));
  EXPECT_FALSE(make_signed_certificate({}, {"x", "y"}, now));
}

TEST(Certificate, RefusesNamesThatWouldSmuggleInOthers) {
  EXPECT_FALSE(make_self_signed_certificate({.names = {"a,DNS:evil"}}, system_clock().wall_now()));
  EXPECT_FALSE(certificate_expiry("nothing"));
}

}  // namespace
}  // namespace llmd::crypto
