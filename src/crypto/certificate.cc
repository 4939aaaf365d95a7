#include "crypto/certificate.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <array>
#include <memory>

#include "base/strings.h"

namespace llmd::crypto {
namespace {

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using X509Handle = std::unique_ptr<X509, Deleter<X509_free>>;
using Bio = std::unique_ptr<BIO, Deleter<BIO_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>>;
using BigNumber = std::unique_ptr<BIGNUM, Deleter<BN_free>>;

// The reason OpenSSL gives; also empties its queue, so that the next call does not see this error.
Error openssl_error(std::string_view what) {
  std::array<char, 200> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  ERR_clear_error();
  return internal_error("{}: {}", what, text.data());
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

Bio bio_of(std::string_view text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

bool is_address(const std::string& name) {
  std::array<unsigned char, 16> bytes{};
  return inet_pton(AF_INET, name.c_str(), bytes.data()) == 1 ||
         inet_pton(AF_INET6, name.c_str(), bytes.data()) == 1;
}

std::string alternative_names(const std::vector<std::string>& names) {
  std::string text = "DNS:localhost,IP:127.0.0.1,IP:::1";
  for (const std::string& name : names) {
    text += fmt::format(",{}:{}", is_address(name) ? "IP" : "DNS", name);
  }
  return text;
}

// A comma or a line break in a name would smuggle further names into the extension's text form.
Result<void> check_names(const CertificateOptions& options) {
  for (const std::string& name : options.names) {
    if (name.empty() || name.find_first_of(",\n\r:= \t") != std::string::npos) {
      if (!is_address(name)) {
        return invalid_argument("'{}' is no DNS name and no IP address", name);
      }
    }
  }
  return {};
}

Result<void> add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1) {
    return std::unexpected(openssl_error("certificate extension"));
  }
  return {};
}

void set_common_name(X509* certificate, const std::string& name) {
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.data()),
                             static_cast<int>(name.size()), -1, 0);
}

void set_random_serial(X509* certificate) {
  const BigNumber serial(BN_new());
  BN_rand(serial.get(), 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY);
  BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate));
}

Result<Certificate> to_pem(X509* certificate, EVP_PKEY* key) {
  const Bio certificate_text(BIO_new(BIO_s_mem()));
  const Bio key_text(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(certificate_text.get(), certificate) != 1 ||
      PEM_write_bio_PrivateKey(key_text.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return openssl_error("writing a certificate");
  }
  return Certificate{text_of(certificate_text.get()), text_of(key_text.get())};
}

struct Issuer {
  X509* certificate;
  EVP_PKEY* key;
};

// Without an issuer the certificate signs itself and is a CA.
Result<Certificate> make(const CertificateOptions& options, const Issuer* issuer, WallTime now) {
  LLMD_TRY_VOID(check_names(options));
  const Key key(EVP_EC_gen("P-256"));
  const X509Handle certificate(X509_new());
  if (!key || !certificate) {
    return openssl_error("making a key");
  }
  X509* made = certificate.get();
  X509_set_version(made, X509_VERSION_3);
  set_random_serial(made);
  // Five minutes back, for clients whose clock is a little behind.
  const std::time_t begin = std::chrono::system_clock::to_time_t(now - std::chrono::minutes(5));
  const std::time_t end = std::chrono::system_clock::to_time_t(now + options.valid_for);
  ASN1_TIME_set(X509_getm_notBefore(made), begin);
  ASN1_TIME_set(X509_getm_notAfter(made), end);
  X509_set_pubkey(made, key.get());
  set_common_name(made, options.common_name);
  X509* parent = issuer ? issuer->certificate : made;
  X509_set_issuer_name(made, X509_get_subject_name(parent));
  LLMD_TRY_VOID(
      add_extension(made, parent, NID_basic_constraints, issuer ? "critical,CA:FALSE" : "critical,CA:TRUE"));
  LLMD_TRY_VOID(
      add_extension(made, parent, NID_key_usage,
                    issuer ? "critical,digitalSignature" : "critical,digitalSignature,keyCertSign"));
  LLMD_TRY_VOID(add_extension(made, parent, NID_ext_key_usage, "serverAuth,clientAuth"));
  LLMD_TRY_VOID(add_extension(made, parent, NID_subject_key_identifier, "hash"));
  LLMD_TRY_VOID(add_extension(made, parent, NID_authority_key_identifier, "keyid"));
  LLMD_TRY_VOID(add_extension(made, parent, NID_subject_alt_name, alternative_names(options.names)));
  if (X509_sign(made, issuer ? issuer->key : key.get(), EVP_sha256()) == 0) {
    return openssl_error("signing a certificate");
  }
  return to_pem(made, key.get());
}

}  // namespace

Result<Certificate> make_self_signed_certificate(const CertificateOptions& options, WallTime now) {
  return make(options, nullptr, now);
}

Result<Certificate> make_signed_certificate(const CertificateOptions& options, const Certificate& authority,
                                            WallTime now) {
  const Bio certificate_text = bio_of(authority.certificate_pem);
  const Bio key_text = bio_of(authority.key_pem);
  const X509Handle certificate(PEM_read_bio_X509(certificate_text.get(), nullptr, nullptr, nullptr));
  const Key key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
  if (!certificate || !key) {
    ERR_clear_error();
    return invalid_argument("the authority is no certificate with its key in PEM");
  }
  const Issuer issuer{certificate.get(), key.get()};
  return make(options, &issuer, now);
}

Result<WallTime> certificate_expiry(std::string_view certificate_pem) {
  const Bio text = bio_of(certificate_pem);
  const X509Handle certificate(PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr));
  std::tm end{};
  if (!certificate || ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &end) != 1) {
    ERR_clear_error();
    return invalid_argument("no certificate in PEM");
  }
  return std::chrono::system_clock::from_time_t(timegm(&end));
}

}  // namespace llmd::crypto
