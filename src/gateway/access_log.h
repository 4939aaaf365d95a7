// The access log: one JSON line per request when it is over. Never headers, bodies, keys or query strings.
// Any thread; lines are never mixed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/file.h"
#include "base/result.h"

namespace llmd::gateway {

struct AccessRecord {
  WallTime time = {};
  std::string_view request_id;
  std::string_view client;  // address without port
  std::string_view method;
  std::string_view path;  // without the query
  std::string_view route;
  std::string_view model;
  std::string_view owner;
  std::string_view via;
  std::string_view upstream;
  std::string_view key;  // name of the API key
  int status = 0;        // 499: the client left
  int attempts = 0;
  bool stream = false;
  std::size_t request_bytes = 0;
  std::size_t response_bytes = 0;
  std::int64_t prompt_tokens = -1;      // below 0: not known
  std::int64_t completion_tokens = -1;  // below 0: not known
  Duration duration = {};
  Duration first_byte = {};  // zero: no byte came
  std::string_view error;    // why it failed
};

std::string write_access_record(const AccessRecord& record);

class AccessLog {
 public:
  // "-" is standard output; a file is appended to and made with mode 0640.
  static Result<std::unique_ptr<AccessLog>> open(const std::string& path);
  void write(const AccessRecord& record);

 private:
  explicit AccessLog(FileDescriptor file) : file_(std::move(file)) {}
  FileDescriptor file_;
};

}  // namespace llmd::gateway
