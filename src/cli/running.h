// Where the `llmd up` of a data directory listens; for `llmd get`, scripts and tests that used port 0.
#pragma once

#include "cli/data_directory.h"
#include "net/address.h"

namespace llmd::cli {

struct Running {
  net::Address api;
  net::Address gateway;
};

// running.json: {"pid": …, "api": "host:port", "gateway": "host:port"}
Result<void> write_running(const DataDirectory& data, const Running& running);

}  // namespace llmd::cli
