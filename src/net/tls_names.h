// A server with several certificates: which one a client sees is decided by the name it asks for (SNI).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "net/tls.h"

namespace llmd::net {

struct NamedCertificate {
  std::string hostname;  // "a.example", "*.example", or empty: for every name that no other is for
  std::string certificate_pem;
  std::string key_pem;
};

class TlsNames {
 public:
  virtual ~TlsNames() = default;
  // An exact name wins over a wildcard, a longer wildcard over a shorter one. A client that asks for a name
  // nobody has, or for none, gets the certificate without a name, or the first. None at all is
  // InvalidArgument.
  static Result<std::shared_ptr<TlsNames>> create(const std::vector<NamedCertificate>& certificates);
  // New connections see these from now on. After an error the old ones stay. Any thread.
  virtual Result<void> replace(const std::vector<NamedCertificate>& certificates) = 0;
  virtual std::shared_ptr<const TlsServer> server() const = 0;
};

}  // namespace llmd::net
