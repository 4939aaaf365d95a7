#include "gateway/access_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "json/value.h"

namespace llmd::gateway {
namespace {

void add(json::Object& line, std::string_view name, std::string_view value) {
  if (!value.empty()) {
    line[name] = value;
  }
}

double milliseconds(Duration duration) {
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  return static_cast<double>(micros) / 1000;
}

}  // namespace

std::string write_access_record(const AccessRecord& record) {
  json::Object line;
  line["time"] = to_rfc3339(record.time);
  add(line, "requestId", record.request_id);
  add(line, "client", record.client);
  add(line, "method", record.method);
  add(line, "path", record.path);
  add(line, "route", record.route);
  add(line, "model", record.model);
  add(line, "ownedBy", record.owner);
  add(line, "via", record.via);
  add(line, "upstream", record.upstream);
  add(line, "key", record.key);
  line["status"] = record.status;
  line["attempts"] = record.attempts;
  line["stream"] = record.stream;
  line["requestBytes"] = record.request_bytes;
  line["responseBytes"] = record.response_bytes;
  if (record.prompt_tokens >= 0) {
    line["promptTokens"] = record.prompt_tokens;
  }
  if (record.completion_tokens >= 0) {
    line["completionTokens"] = record.completion_tokens;
  }
  line["durationMs"] = milliseconds(record.duration);
  if (record.first_byte > Duration::zero()) {
    line["firstByteMs"] = milliseconds(record.first_byte);
  }
  add(line, "error", record.error);
  return json::write(json::Value(std::move(line))) + "\n";
}

Result<std::unique_ptr<AccessLog>> AccessLog::open(const std::string& path) {
  const int fd = path == "-" ? ::dup(STDOUT_FILENO)
                             : ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) {
    return std::unexpected(system_error(errno, "access log " + path));
  }
  return std::unique_ptr<AccessLog>(new AccessLog(FileDescriptor(fd)));
}

void AccessLog::write(const AccessRecord& record) {
  const std::string line = write_access_record(record);
  // One write per line; a full disk loses lines rather than requests.
  [[maybe_unused]] const ssize_t written = ::write(file_.number(), line.data(), line.size());
}

}  // namespace llmd::gateway
