#include "storage/command.h"

#include <signal.h>
#include <unistd.h>

#include <vector>

#include "base/strings.h"
#include "process/signals.h"
#include "storage/fetch.h"
#include "storage/progress.h"

namespace llmd::storage {
namespace {

struct Arguments {
  std::string uri;
  std::string directory;
  ProgressStyle style = ProgressStyle::Auto;
  FetchOptions options;
};

Result<ProgressStyle> parse_style(std::string_view text) {
  if (text == "auto") {
    return ProgressStyle::Auto;
  }
  if (text == "bar") {
    return ProgressStyle::Bar;
  }
  if (text == "json") {
    return ProgressStyle::Json;
  }
  if (text == "none") {
    return ProgressStyle::None;
  }
  return invalid_argument("--progress: '{}' is none of auto, bar, json, none", text);
}

Result<void> parse_flag(std::string_view name, std::string_view value, Arguments& parsed) {
  if (name == "--progress") {
    LLMD_TRY(parsed.style, parse_style(value));
  } else if (name == "--timeout") {
    LLMD_TRY(parsed.options.timeout, parse_duration(value));
  } else if (name == "--idle-timeout") {
    LLMD_TRY(parsed.options.idle_timeout, parse_duration(value));
  } else {
    constexpr std::string_view kFlags[] = {"--progress", "--timeout", "--idle-timeout"};
    return std::unexpected(invalid_argument("fetch: unknown flag {}", name).hint(did_you_mean(name, kFlags)));
  }
  return {};
}

Result<Arguments> parse_arguments(std::span<const std::string> arguments) {
  Arguments parsed;
  std::vector<std::string> words;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (!word.starts_with("--")) {
      words.push_back(word);
      continue;
    }
    const std::size_t equals = word.find('=');
    const bool separate = equals == std::string::npos;
    if (separate && i + 1 == arguments.size()) {
      return invalid_argument("fetch: {} needs a value", word).hint(std::string(fetch_usage()));
    }
    const std::string value = separate ? arguments[++i] : word.substr(equals + 1);
    LLMD_TRY_VOID(parse_flag(std::string_view(word).substr(0, equals), value, parsed));
  }
  if (words.size() != 2) {
    return invalid_argument("fetch: expected a URI and a folder, got {} words", words.size())
        .hint(std::string(fetch_usage()));
  }
  parsed.uri = words[0];
  parsed.directory = words[1];
  return parsed;
}

int output_of(ProgressStyle style) {
  const bool bar = style == ProgressStyle::Bar || (style == ProgressStyle::Auto && ::isatty(STDERR_FILENO));
  return bar ? STDERR_FILENO : STDOUT_FILENO;
}

Task<void> wait_for_signal(process::Signals& signals) {
  co_await signals.wait();
}

Task<Result<Fetched>> fetch_until_signal(async::EventLoop& loop, const Uri& uri, const Arguments& arguments) {
  process::Signals signals(loop, {SIGINT, SIGTERM});
  auto work = fetch(loop, uri, arguments.directory, arguments.options);
  auto stop = wait_for_signal(signals);
  auto fetched = co_await async::unless(std::move(stop), std::move(work));
  if (!fetched) {
    co_return cancelled("interrupted");
  }
  co_return std::move(*fetched);
}

}  // namespace

std::string_view fetch_usage() {
  return "llmd fetch URI DIRECTORY [--progress auto|bar|json|none] [--timeout 6h] [--idle-timeout 60s]";
}

Result<void> run_fetch(std::span<const std::string> arguments) {
  LLMD_TRY(Arguments parsed, parse_arguments(arguments));
  LLMD_TRY(const Uri uri, parse_uri(parsed.uri));
  ProgressPrinter printer(output_of(parsed.style), parsed.style, uri.file_name());
  parsed.options.on_progress = [&printer](const Progress& progress) { printer.update(progress); };
  async::EventLoop loop;
  auto work = fetch_until_signal(loop, uri, parsed);
  LLMD_TRY(const Fetched fetched, loop.block_on(std::move(work)));
  printer.done(fetched);
  return {};
}

}  // namespace llmd::storage
