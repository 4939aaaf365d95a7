#include "net/tls_names.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <tuple>

#include "base/strings.h"
#include "net/tls_context.h"

namespace llmd::net {
namespace {

struct Named {
  std::string hostname;
  std::shared_ptr<asio::ssl::context> context;
};
using AllNamed = std::vector<Named>;

bool matches(std::string_view pattern, std::string_view name) {
  if (pattern.starts_with("*.")) {
    const std::string_view suffix = pattern.substr(1);
    return name.size() > suffix.size() &&
           equals_ignoring_case(name.substr(name.size() - suffix.size()), suffix);
  }
  return pattern.empty() || equals_ignoring_case(pattern, name);
}

int choose(SSL* connection, int* /*alert*/, void* argument) {
  const auto& all = *static_cast<const AllNamed*>(argument);
  const char* asked = SSL_get_servername(connection, TLSEXT_NAMETYPE_host_name);
  const std::string_view name = asked == nullptr ? "" : asked;
  const auto found =
      std::ranges::find_if(all, [name](const Named& each) { return matches(each.hostname, name); });
  if (found != all.end()) {
    SSL_set_SSL_CTX(connection, found->context->native_handle());
  }
  return SSL_TLSEXT_ERR_OK;
}

void free_names(void*, void* names, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<AllNamed*>(names);
}

// The names live as long as the OpenSSL context, which connections hold on to.
int names_slot() {
  static const int slot = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, free_names);
  return slot;
}

Result<std::shared_ptr<asio::ssl::context>> make_context(const std::vector<NamedCertificate>& certificates) {
  if (certificates.empty()) {
    return invalid_argument("TLS: there is no certificate");
  }
  auto all = std::make_unique<AllNamed>();
  for (const NamedCertificate& each : certificates) {
    auto context = make_server_context(each.certificate_pem, each.key_pem);
    if (!context) {
      return std::unexpected(std::move(context).error().within(each.hostname));
    }
    all->push_back({each.hostname, std::move(*context)});
  }
  // The most specific first: exact names, then longer wildcards, then the one without a name.
  std::ranges::sort(*all, [](const Named& a, const Named& b) {
    const auto kind = [](const Named& each) {
      return each.hostname.empty() ? 2 : each.hostname.starts_with('*') ? 1 : 0;
    };
    return std::tuple(kind(a), b.hostname.size(), std::string_view(a.hostname)) <
           std::tuple(kind(b), a.hostname.size(), std::string_view(b.hostname));
  });
  const NamedCertificate& first = certificates.front();
  LLMD_TRY(auto base, make_server_context(first.certificate_pem, first.key_pem));
  SSL_CTX* native = base->native_handle();
  SSL_CTX_set_tlsext_servername_callback(native, choose);
  SSL_CTX_set_tlsext_servername_arg(native, all.get());
  SSL_CTX_set_ex_data(native, names_slot(), all.release());
  return base;
}

class Names final : public TlsNames {
 public:
  Result<void> replace(const std::vector<NamedCertificate>& certificates) override {
    LLMD_TRY(auto context, make_context(certificates));
    server_->replace(std::move(context));
    return {};
  }
  std::shared_ptr<const TlsServer> server() const override { return server_; }

 private:
  std::shared_ptr<TlsServerContext> server_ =
      std::make_shared<TlsServerContext>(std::filesystem::path(), std::filesystem::path());
};

}  // namespace

Result<std::shared_ptr<TlsNames>> TlsNames::create(const std::vector<NamedCertificate>& certificates) {
  auto names = std::make_shared<Names>();
  LLMD_TRY_VOID(names->replace(certificates));
  return names;
}

}  // namespace llmd::net
