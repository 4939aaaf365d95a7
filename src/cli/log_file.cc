#include "cli/log_file.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"

namespace llmd::cli {
namespace {

constexpr std::size_t kMaxBytes = 10 * 1024 * 1024;

}  // namespace

LogFile::LogFile(std::filesystem::path path) : path_(std::move(path)) {
  log::configure(log::level(), log::Format::Json);
  log::set_sink([this](log::Level, std::string_view line) { append(line); });
}

LogFile::~LogFile() {
  log::set_sink({});
}

// Called under the log's lock, so lines of several threads come one by one.
void LogFile::append(std::string_view line) {
  if (!file_ || size_ > kMaxBytes) {
    std::error_code ignored;
    if (size_ > kMaxBytes) {
      std::filesystem::rename(path_, path_.string() + ".1", ignored);
    }
    file_.reset(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    const off_t end = file_ ? ::lseek(file_.number(), 0, SEEK_END) : 0;
    size_ = end > 0 ? static_cast<std::size_t>(end) : 0;
  }
  const std::string whole = std::string(line) + "\n";
  const auto written = ::write(file_.number(), whole.data(), whole.size());
  size_ += written > 0 ? static_cast<std::size_t>(written) : 0;
}

}  // namespace llmd::cli
