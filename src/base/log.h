// Structured log: one event phrase plus fields, one line per event, one write(2) per line (so that lines of
// several threads and processes never mix). Text on a terminal, JSON otherwise, unless configured.
//
//   log::info("pod started", {{"pod", name}, {"pid", pid}});
//
// Never put secrets into a field. Any thread may log at any time.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

namespace llmd::log {

enum class Level { Debug, Info, Warning, Error, Off };
enum class Format { Auto, Text, Json };

struct Field {
  std::string_view key;
  std::string value;
  bool bare = false;  // numbers and booleans are written without quotes

  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const std::string& v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  Field(std::string_view k, bool v) : key(k), value(v ? "true" : "false"), bare(true) {}
  template <typename Number>
    requires std::is_arithmetic_v<Number>
  Field(std::string_view k, Number v) : key(k), value(fmt::format("{}", v)), bare(true) {}
};

void configure(Level level, Format format = Format::Auto);
Level level();

using Fields = std::initializer_list<Field>;
void write(Level level, std::string_view event, Fields fields);

inline void debug(std::string_view event, Fields fields = {}) {
  write(Level::Debug, event, fields);
}
inline void info(std::string_view event, Fields fields = {}) {
  write(Level::Info, event, fields);
}
inline void warning(std::string_view event, Fields fields = {}) {
  write(Level::Warning, event, fields);
}
inline void error(std::string_view event, Fields fields = {}) {
  write(Level::Error, event, fields);
}

// Sends finished lines (without the newline) somewhere else than stderr: tests capture with it, `llmd up`
// draws its status above them. An empty function restores stderr.
void set_sink(std::function<void(Level, std::string_view line)> sink);

}  // namespace llmd::log
