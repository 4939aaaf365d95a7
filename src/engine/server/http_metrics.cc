#include "engine/server/http_metrics.h"

#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "base/strings.h"

namespace llmd::engine {
namespace {

constexpr std::string_view kClasses[] = {"1xx", "2xx", "3xx", "4xx", "5xx"};

std::string_view class_of(int status) {
  const int index = status / 100 - 1;
  return index >= 0 && index < 5 ? kClasses[index] : "none";
}

// Clients may send any word as a method; a label takes the usual ones.
std::string_view known_method(std::string_view method) {
  for (const std::string_view known : {"GET", "POST", "OPTIONS", "HEAD", "PUT", "DELETE", "PATCH"}) {
    if (method == known) {
      return known;
    }
  }
  return "other";
}

// Field `number` of /proc/self/stat, counted from 1 as proc(5) does; the name in parentheses is field 2.
double stat_field(std::string_view text, std::size_t number) {
  const std::size_t close = text.rfind(')');
  if (close == std::string_view::npos) {
    return 0;
  }
  const std::vector<std::string_view> fields = split(trim(text.substr(close + 1)), ' ');
  return number < fields.size() + 3 ? parse_number(fields[number - 3]).value_or(0) : 0;
}

}  // namespace

HttpMetrics::HttpMetrics(metrics::Registry& registry)
    : requests_(registry.counters("http_requests_total", "HTTP requests by route and class of status.",
                                  {"handler", "method", "status"})),
      seconds_(registry.histograms("http_request_duration_seconds", "Duration of HTTP requests.",
                                   {"handler", "method"})) {}

void HttpMetrics::count(std::string_view route, std::string_view method, int status, Duration duration) {
  method = known_method(method);
  requests_.with({route, method, class_of(status)})->add();
  seconds_.with({route, method})->observe(std::chrono::duration<double>(duration).count());
}

void HttpMetrics::fill(std::span<const std::string_view> routes) {
  for (const std::string_view route : routes) {
    for (const std::string_view method : {"GET", "POST"}) {
      seconds_.with({route, method});
      for (const std::string_view status : {"2xx", "4xx", "5xx"}) {
        requests_.with({route, method, status});
      }
    }
  }
}

void add_process_metrics(metrics::Registry& registry) {
  registry.on_write([](metrics::TextWriter& writer) {
    const std::string stat = read_file("/proc/self/stat", 1 << 16).value_or("");
    const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
    const auto write = [&](std::string_view name, std::string_view help, metrics::Type type, double value) {
      writer.family(name, help, type);
      writer.sample(name, "", value);
    };
    write("process_resident_memory_bytes", "Resident memory.", metrics::Type::Gauge,
          stat_field(stat, 24) * static_cast<double>(sysconf(_SC_PAGESIZE)));
    write("process_virtual_memory_bytes", "Virtual memory.", metrics::Type::Gauge, stat_field(stat, 23));
    write("process_cpu_seconds_total", "CPU time, user and system.", metrics::Type::Counter,
          (stat_field(stat, 14) + stat_field(stat, 15)) / ticks);
    std::error_code ignored;
    const auto files = std::filesystem::directory_iterator("/proc/self/fd", ignored);
    write("process_open_fds", "Open file descriptors.", metrics::Type::Gauge,
          static_cast<double>(std::distance(begin(files), end(files))));
  });
}

}  // namespace llmd::engine
