// The command line of `llmd bench load`.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/address.h"

namespace llmd::bench {

struct WatchedProcess {
  std::string name;
  pid_t pid = 0;
};

enum class Arrival { Poisson, Constant };

struct LoadOptions {
  bool tls = false;
  net::Address address;
  std::string target;  // path of the request line
  bool chat = true;    // messages, else prompt
  std::string model = "model";
  std::size_t prompt_bytes = 1024;
  bool same_prompt = false;         // else each request begins differently, so that no prefix cache helps
  std::size_t prefix_groups = 0;    // above 0: each prompt begins with the text of one of so many groups
  std::size_t prefix_bytes = 4096;  // length of that text, in addition to prompt_bytes
  int max_tokens = 16;
  bool stream = false;
  bool ignore_eos = false;

  std::optional<std::uint64_t> requests;         // either a number of requests
  Duration duration = std::chrono::seconds(20);  // or a time
  Duration warmup = Duration::zero();            // before it; not counted
  std::size_t concurrency = 32;                  // clients; in the open loop the most requests at a time
  std::optional<double> rate;                    // requests per second: open loop
  Arrival arrival = Arrival::Poisson;
  std::uint64_t seed = 1;
  Duration timeout = std::chrono::seconds(60);  // of one request

  std::vector<WatchedProcess> processes;
  bool json = false;
};

Result<LoadOptions> parse_load_options(std::span<const std::string> arguments);

}  // namespace llmd::bench
