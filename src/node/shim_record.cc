#include <boost/json.hpp>

#include "base/file.h"
#include "node/shim.h"

namespace llmd::node {
namespace {

std::int64_t seconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}
WallTime from_seconds(std::int64_t value) {
  return WallTime(std::chrono::seconds(value));
}

Result<std::optional<boost::json::object>> read_record(const std::filesystem::path& path) {
  const auto text = read_file(path, 64 * 1024);
  if (!text) {
    if (text.error().kind == ErrorKind::NotFound) {
      return std::nullopt;
    }
    return std::unexpected(text.error());
  }
  boost::system::error_code error;
  const auto value = boost::json::parse(*text, error);
  if (error || !value.is_object()) {
    return data_loss("{}: not a record the shim wrote", path.string());
  }
  return value.as_object();
}

std::int64_t number(const boost::json::object& record, std::string_view key) {
  const auto* value = record.if_contains(key);
  return value != nullptr && value->is_int64() ? value->as_int64() : 0;
}

}  // namespace

Result<std::optional<RunRecord>> read_run_record(const PodFolder& folder, std::string_view container) {
  LLMD_TRY(const auto record, read_record(folder.run_record(container)));
  if (!record) {
    return std::nullopt;
  }
  return RunRecord{.shim = static_cast<pid_t>(number(*record, "shim")),
                   .shim_start_time = static_cast<unsigned long long>(number(*record, "shimStartTime")),
                   .program = static_cast<pid_t>(number(*record, "program")),
                   .started = from_seconds(number(*record, "started"))};
}

Result<std::optional<ExitRecord>> read_exit_record(const PodFolder& folder, std::string_view container) {
  LLMD_TRY(const auto record, read_record(folder.exit_record(container)));
  if (!record) {
    return std::nullopt;
  }
  ExitRecord result{.code = static_cast<int>(number(*record, "code")),
                    .signal = static_cast<int>(number(*record, "signal")),
                    .started = from_seconds(number(*record, "started")),
                    .finished = from_seconds(number(*record, "finished")),
                    .message = {}};
  if (const auto* message = record->if_contains("message"); message != nullptr && message->is_string()) {
    result.message = message->as_string().c_str();
  }
  return result;
}

Result<void> write_run_record(const PodFolder& folder, std::string_view container, const RunRecord& record) {
  const boost::json::object object{{"shim", record.shim},
                                   {"shimStartTime", static_cast<std::int64_t>(record.shim_start_time)},
                                   {"program", record.program},
                                   {"started", seconds(record.started)}};
  return write_file_atomically(folder.run_record(container), boost::json::serialize(object), 0600);
}

Result<void> write_exit_record(const PodFolder& folder, std::string_view container,
                               const ExitRecord& record) {
  const boost::json::object object{{"code", record.code},
                                   {"signal", record.signal},
                                   {"started", seconds(record.started)},
                                   {"finished", seconds(record.finished)},
                                   {"message", record.message}};
  return write_file_atomically(folder.exit_record(container), boost::json::serialize(object), 0600);
}

}  // namespace llmd::node
