// The local API server's certificate and the token its clients show. Made once, kept in the data directory
// with mode 0600, renewed when the certificate is about to end.
#pragma once

#include <string>

#include "cli/data_directory.h"

namespace llmd::cli {

struct Credentials {
  std::string certificate_pem;  // also the CA its clients trust
  std::string token;            // secret
};

Result<Credentials> ensure_credentials(const DataDirectory& data);

}  // namespace llmd::cli
