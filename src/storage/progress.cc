#include "storage/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "json/value.h"

namespace llmd::storage {
namespace {

constexpr Duration kRedraw = std::chrono::milliseconds(100);
constexpr Duration kJsonInterval = std::chrono::seconds(1);

ProgressStyle resolve(ProgressStyle style, int fd) {
  if (style != ProgressStyle::Auto) {
    return style;
  }
  return ::isatty(fd) ? ProgressStyle::Bar : ProgressStyle::Json;
}

std::string_view name_of(Progress::Step step) {
  static constexpr std::array<std::string_view, 4> kNames{"waiting", "downloading", "extracting", "copying"};
  return kNames[static_cast<std::size_t>(step)];
}

std::size_t terminal_width(int fd) {
  winsize size{};
  return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

std::string bar(double fraction, std::size_t width) {
  const auto full = static_cast<std::size_t>(fraction * static_cast<double>(width));
  std::string text(full, '#');
  text.append(width - full, '-');
  return text;
}

}  // namespace

ProgressPrinter::ProgressPrinter(int fd, ProgressStyle style, std::string name, const Clock& clock)
    : fd_(fd), style_(resolve(style, fd)), name_(std::move(name)), clock_(clock) {}

ProgressPrinter::~ProgressPrinter() {
  if (drawn_) {
    write("\r\x1b[K");  // an error message follows on a clean line
  }
}

void ProgressPrinter::write(std::string_view text) const {
  [[maybe_unused]] const auto written = ::write(fd_, text.data(), text.size());
}

// A moving average, so that the number can be read.
std::string ProgressPrinter::rate(std::uint64_t bytes, TimePoint now) {
  const std::chrono::duration<double> passed = now - last_time_;
  if (last_ && bytes >= last_->bytes && passed.count() > 0) {
    const double current = static_cast<double>(bytes - last_->bytes) / passed.count();
    bytes_per_second_ = bytes_per_second_ == 0 ? current : 0.8 * bytes_per_second_ + 0.2 * current;
  }
  return bytes_per_second_ > 0 ? human_bytes(static_cast<unsigned long long>(bytes_per_second_)) + "/s" : "";
}

void ProgressPrinter::draw(const Progress& progress) {
  std::string line;
  const std::string_view verb = name_of(progress.step);
  if (progress.step == Progress::Step::Waiting) {
    line = fmt::format("{}  waiting for another process that fetches it", name_);
  } else if (progress.total && *progress.total > 0) {
    const double fraction =
        std::min(1.0, static_cast<double>(progress.bytes) / static_cast<double>(*progress.total));
    // What a narrow terminal cuts off comes last.
    line = fmt::format("{} [{}] {:3.0f} %  {} of {}  {}  {}", name_, bar(fraction, 16), fraction * 100,
                       human_bytes(progress.bytes), human_bytes(*progress.total),
                       rate(progress.bytes, clock_.now()), verb);
  } else if (progress.bytes > 0) {
    line = fmt::format("{}  {}  {}", name_, verb, human_bytes(progress.bytes));
  } else {
    line = fmt::format("{}  {}", name_, verb);
  }
  write("\r\x1b[K" + line.substr(0, terminal_width(fd_) - 1));
  drawn_ = true;
}

void ProgressPrinter::update(const Progress& progress) {
  const TimePoint now = clock_.now();
  const bool new_step = !last_ || last_->step != progress.step;
  const Duration interval = style_ == ProgressStyle::Bar ? kRedraw : kJsonInterval;
  if (style_ == ProgressStyle::None || (!new_step && now - last_time_ < interval)) {
    return;
  }
  if (style_ == ProgressStyle::Bar) {
    draw(progress);
  } else {
    json::Object event{
        {"event", "progress"}, {"step", std::string(name_of(progress.step))}, {"bytes", progress.bytes}};
    if (progress.total) {
      event["total"] = *progress.total;
    }
    write(json::write(json::Value(std::move(event))) + "\n");
  }
  last_ = progress;
  last_time_ = now;
}

void ProgressPrinter::done(const Fetched& fetched) {
  if (drawn_) {
    write("\r\x1b[K");
    drawn_ = false;
  }
  if (style_ == ProgressStyle::Json) {
    json::Object event{{"event", "done"},
                       {"path", fetched.path.string()},
                       {"bytes", fetched.size},
                       {"sha256", fetched.sha256},
                       {"was_there", fetched.was_there}};
    write(json::write(json::Value(std::move(event))) + "\n");
  } else if (style_ == ProgressStyle::Bar) {
    write(fmt::format("{}  {}  {}\n", name_, human_bytes(fetched.size),
                      fetched.was_there ? "is there already" : "done"));
  }
}

}  // namespace llmd::storage
