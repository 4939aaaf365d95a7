#include "base/log.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <ctime>
#include <mutex>

namespace llmd::log {
namespace {

constexpr std::array<std::string_view, 4> kNames{"debug", "info", "warning", "error"};

std::atomic<Level> g_level = Level::Info;
std::atomic<Format> g_format = Format::Auto;
std::mutex g_sink_mutex;
std::function<void(Level, std::string_view)> g_sink;  // guarded by g_sink_mutex

std::string timestamp() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  const std::time_t seconds = ms / 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1,
                     utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, ms % 1000);
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

std::string json_line(Level level, std::string_view event, Fields fields) {
  std::string line =
      fmt::format(R"({{"time":"{}","level":"{}","event":)", timestamp(), kNames[static_cast<int>(level)]);
  append_quoted(line, event);
  for (const Field& field : fields) {
    line += ',';
    append_quoted(line, field.key);
    line += ':';
    if (field.bare) {
      line += field.value;
    } else {
      append_quoted(line, field.value);
    }
  }
  line += '}';
  return line;
}

std::string text_line(Level level, std::string_view event, Fields fields) {
  std::string line = fmt::format("{} {:7} {}", timestamp(), kNames[static_cast<int>(level)], event);
  for (const Field& field : fields) {
    line += fmt::format(" {}=", field.key);
    const bool plain = field.bare || (!field.value.empty() &&
                                      field.value.find_first_of(" \"\\\n\r\t=") == std::string::npos);
    if (plain) {
      line += field.value;
    } else {
      append_quoted(line, field.value);
    }
  }
  return line;
}

bool wants_text() {
  static const bool terminal = isatty(STDERR_FILENO) != 0;
  const Format format = g_format.load(std::memory_order_relaxed);
  return format == Format::Text || (format == Format::Auto && terminal);
}

}  // namespace

void configure(Level level, Format format) {
  g_level = level;
  g_format = format;
}

Level level() {
  return g_level.load(std::memory_order_relaxed);
}

void write(Level level, std::string_view event, Fields fields) {
  if (level < g_level.load(std::memory_order_relaxed) || level == Level::Off) {
    return;
  }
  std::string line = wants_text() ? text_line(level, event, fields) : json_line(level, event, fields);
  {
    const std::lock_guard lock(g_sink_mutex);
    if (g_sink) {
      g_sink(level, line);
      return;
    }
  }
  line += '\n';
  // A log that cannot be written has nobody to tell.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

void set_sink(std::function<void(Level, std::string_view)> sink) {
  const std::lock_guard lock(g_sink_mutex);
  g_sink = std::move(sink);
}

}  // namespace llmd::log
