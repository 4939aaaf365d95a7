#include "bench/load_options.h"

#include <array>
#include <functional>

#include "base/strings.h"
#include "bench/load.h"

namespace llmd::bench {
namespace {

constexpr std::size_t kMaxConcurrency = 10'000;
constexpr long long kMaxPromptBytes = 16 << 20;

Result<long long> parse_count(std::string_view name, std::string_view text, long long low, long long high) {
  const auto number = parse_integer(text);
  if (!number || *number < low || *number > high) {
    return invalid_argument("{}: expected a whole number from {} to {}, got '{}'", name, low, high, text);
  }
  return *number;
}

Result<Duration> parse_time(std::string_view name, std::string_view text) {
  auto duration = parse_duration(text);
  if (!duration) {
    return std::unexpected(std::move(duration).error().within(name));
  }
  return duration;
}

// http://host:port/prefix: the endpoint is added unless the path names one already.
Result<void> parse_url(std::string_view url, LoadOptions& options, bool& names_endpoint) {
  const std::size_t scheme_end = url.find("://");
  const std::string_view scheme = url.substr(0, scheme_end);
  if (scheme_end == std::string_view::npos || (scheme != "http" && scheme != "https")) {
    return std::unexpected(
        invalid_argument("--url: '{}' is no URL", url).hint("write http://HOST[:PORT]/PATH"));
  }
  options.tls = scheme == "https";
  const std::string_view rest = url.substr(scheme_end + 3);
  const std::size_t slash = rest.find('/');
  const std::string_view authority = rest.substr(0, slash);
  const bool has_port = authority.rfind(':') != std::string_view::npos && !authority.ends_with(']');
  LLMD_TRY(options.address,
           net::parse_address(has_port ? std::string(authority)
                                       : fmt::format("{}:{}", authority, options.tls ? 443 : 80)));
  options.target = slash == std::string_view::npos ? "" : std::string(rest.substr(slash));
  while (options.target.ends_with('/')) {
    options.target.pop_back();
  }
  names_endpoint = options.target.ends_with("/completions");
  if (names_endpoint) {
    options.chat = options.target.ends_with("/chat/completions");
  }
  return {};
}

Result<WatchedProcess> parse_process(std::string_view text) {
  const std::size_t equals = text.find('=');
  const std::string_view number = equals == std::string_view::npos ? text : text.substr(equals + 1);
  LLMD_TRY(const long long pid, parse_count("--pid", number, 1, 1 << 30));
  return WatchedProcess{std::string(equals == std::string_view::npos ? text : text.substr(0, equals)),
                        static_cast<pid_t>(pid)};
}

struct Parser {
  LoadOptions options;
  std::string url;
  std::string api;

  Result<void> set(std::string_view name, std::string_view value);
  Result<void> set_shape(std::string_view name, std::string_view value);
  Result<void> finish();
};

// Which requests are sent.
Result<void> Parser::set_shape(std::string_view name, std::string_view value) {
  if (name == "--prompt-bytes") {
    LLMD_TRY(const long long bytes, parse_count(name, value, 1, kMaxPromptBytes));
    options.prompt_bytes = static_cast<std::size_t>(bytes);
  } else if (name == "--prefix-groups") {
    LLMD_TRY(const long long groups, parse_count(name, value, 1, 1 << 20));
    options.prefix_groups = static_cast<std::size_t>(groups);
  } else if (name == "--prefix-bytes") {
    LLMD_TRY(const long long bytes, parse_count(name, value, 1, kMaxPromptBytes));
    options.prefix_bytes = static_cast<std::size_t>(bytes);
  } else if (name == "--max-tokens") {
    LLMD_TRY(const long long tokens, parse_count(name, value, 1, 1 << 20));
    options.max_tokens = static_cast<int>(tokens);
  } else if (name == "--model") {
    options.model = value;
  } else if (name == "--api") {
    if (value != "chat" && value != "completions") {
      return std::unexpected(invalid_argument("--api: '{}' is neither chat nor completions", value));
    }
    api = value;
  } else {
    constexpr std::string_view kFlags[] = {
        "--url",  "--model",   "--api",        "--requests",     "--duration",    "--warmup",
        "--rate", "--arrival", "--timeout",    "--prompt-bytes", "--seed",        "--stream",
        "--pid",  "--output",  "--max-tokens", "--concurrency",  "--same-prompt", "--ignore-eos"};
    return std::unexpected(
        invalid_argument("bench load: unknown flag {}", name).hint(did_you_mean(name, kFlags)));
  }
  return {};
}

Result<void> Parser::set(std::string_view name, std::string_view value) {
  if (name == "--url") {
    url = value;
  } else if (name == "--requests") {
    LLMD_TRY(options.requests, parse_count(name, value, 1, 1LL << 40));
  } else if (name == "--duration") {
    LLMD_TRY(options.duration, parse_time(name, value));
  } else if (name == "--warmup") {
    LLMD_TRY(options.warmup, parse_time(name, value));
  } else if (name == "--timeout") {
    LLMD_TRY(options.timeout, parse_time(name, value));
  } else if (name == "--concurrency") {
    LLMD_TRY(const long long clients, parse_count(name, value, 1, kMaxConcurrency));
    options.concurrency = static_cast<std::size_t>(clients);
  } else if (name == "--rate") {
    options.rate = parse_number(value);
    if (!options.rate || *options.rate <= 0 || *options.rate > 1e6) {
      return std::unexpected(invalid_argument("--rate: expected requests per second, got '{}'", value));
    }
  } else if (name == "--arrival") {
    if (value != "poisson" && value != "constant") {
      return std::unexpected(invalid_argument("--arrival: '{}' is neither poisson nor constant", value));
    }
    options.arrival = value == "constant" ? Arrival::Constant : Arrival::Poisson;
  } else if (name == "--seed") {
    LLMD_TRY(const long long seed, parse_count(name, value, 0, 1LL << 60));
    options.seed = static_cast<std::uint64_t>(seed);
  } else if (name == "--pid") {
    LLMD_TRY(WatchedProcess process, parse_process(value));
    options.processes.push_back(std::move(process));
  } else if (name == "--output" || name == "-o") {
    if (value != "json" && value != "text") {
      return std::unexpected(invalid_argument("{}: '{}' is neither json nor text", name, value));
    }
    options.json = value == "json";
  } else {
    return set_shape(name, value);
  }
  return {};
}

Result<void> Parser::finish() {
  if (url.empty()) {
    return std::unexpected(invalid_argument("bench load: --url is missing").hint(std::string(load_usage())));
  }
  bool names_endpoint = false;
  LLMD_TRY_VOID(parse_url(url, options, names_endpoint));
  if (!names_endpoint) {
    options.chat = api != "completions";
    options.target += options.chat ? "/v1/chat/completions" : "/v1/completions";
  }
  return {};
}

}  // namespace

std::string_view load_usage() {
  return "llmd bench load --url URL [--model M] [--api chat|completions] [--requests N | --duration 20s] "
         "[--warmup 2s] "
         "[--concurrency N] [--rate R [--arrival poisson|constant] [--seed N]] [--prompt-bytes 1024] "
         "[--same-prompt] [--prefix-groups N [--prefix-bytes 4096]] "
         "[--max-tokens 16] [--ignore-eos] [--stream] [--timeout 60s] [--pid [NAME=]PID]... [-o text|json]";
}

Result<LoadOptions> parse_load_options(std::span<const std::string> arguments) {
  Parser parser;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    bool* const flag = word == "--stream"        ? &parser.options.stream
                       : word == "--same-prompt" ? &parser.options.same_prompt
                       : word == "--ignore-eos"  ? &parser.options.ignore_eos
                                                 : nullptr;
    if (flag) {
      *flag = true;
      continue;
    }
    if (!word.starts_with('-')) {
      return invalid_argument("bench load: unexpected '{}'", word).hint(std::string(load_usage()));
    }
    const std::size_t equals = word.find('=');
    const bool separate = equals == std::string::npos;
    if (separate && i + 1 == arguments.size()) {
      return invalid_argument("bench load: {} needs a value", word).hint(std::string(load_usage()));
    }
    const std::string value = separate ? arguments[++i] : word.substr(equals + 1);
    LLMD_TRY_VOID(parser.set(std::string_view(word).substr(0, equals), value));
  }
  LLMD_TRY_VOID(parser.finish());
  return std::move(parser.options);
}

}  // namespace llmd::bench
