// Certificates for servers of our own: the local API server, webhooks, tests. ECDSA P-256 keys, PEM texts.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace llmd::crypto {

struct Certificate {
  std::string certificate_pem;
  std::string key_pem;  // secret: a file that holds it has mode 0600
};

struct CertificateOptions {
  std::string common_name = "llmd";
  // DNS names and IP addresses, besides localhost and 127.0.0.1 and ::1, which are always there.
  std::vector<std::string> names;
  std::chrono::days valid_for{365};
};

// A certificate that signs itself and may sign others; clients trust it by having it as their CA file.
Result<Certificate> make_self_signed_certificate(const CertificateOptions& options, WallTime now);
// A server certificate signed by a CA made above.
Result<Certificate> make_signed_certificate(const CertificateOptions& options, const Certificate& authority,
                                            WallTime now);
// When the first certificate of the PEM text ends.
Result<WallTime> certificate_expiry(std::string_view certificate_pem);

}  // namespace llmd::crypto
