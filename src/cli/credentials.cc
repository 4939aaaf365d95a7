#include "cli/credentials.h"

#include "crypto/certificate.h"
#include "crypto/random.h"

namespace llmd::cli {
namespace {

constexpr auto kRenewBefore = std::chrono::days(30);

bool is_usable(const Result<std::string>& certificate) {
  if (!certificate) {
    return false;
  }
  const auto expiry = crypto::certificate_expiry(*certificate);
  return expiry && *expiry > system_clock().wall_now() + kRenewBefore;
}

Result<std::string> ensure_certificate(const DataDirectory& data) {
  auto existing = read_file(data.certificate(), 64 * 1024);
  if (is_usable(existing) && std::filesystem::exists(data.key())) {
    return existing;
  }
  LLMD_TRY(const auto made,
           crypto::make_self_signed_certificate({.common_name = "llmd"}, system_clock().wall_now()));
  LLMD_TRY_VOID(write_file_atomically(data.key(), made.key_pem, 0600));
  LLMD_TRY_VOID(write_file_atomically(data.certificate(), made.certificate_pem, 0600));
  return made.certificate_pem;
}

Result<std::string> ensure_token(const DataDirectory& data) {
  auto existing = read_file(data.token(), 4096);
  if (existing && existing->size() >= 32) {
    return existing;
  }
  const std::string token = crypto::random_hex(32);
  LLMD_TRY_VOID(write_file_atomically(data.token(), token, 0600));
  return token;
}

}  // namespace

Result<Credentials> ensure_credentials(const DataDirectory& data) {
  LLMD_TRY(auto certificate, ensure_certificate(data));
  LLMD_TRY(auto token, ensure_token(data));
  return Credentials{std::move(certificate), std::move(token)};
}

}  // namespace llmd::cli
