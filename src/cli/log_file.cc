#include "cli/log_file.h"

#include "base/log.h"

namespace llmd::cli {
namespace {

constexpr std::size_t kMaxBytes = 10 * 1024 * 1024;

}  // namespace

LogFile::LogFile(std::filesystem::path path) : file_(std::move(path), kMaxBytes) {
  log::configure(log::level(), log::Format::Json);
  log::set_sink([this](log::Level, std::string_view line) { append(line); });
}

LogFile::~LogFile() {
  log::set_sink({});
}

// Called under the log's lock, so lines of several threads come one by one.
void LogFile::append(std::string_view line) {
  file_.append(std::string(line) + "\n");
}

}  // namespace llmd::cli
