// Fetches a model into a folder: verified, resumable, safe when several processes do it at once.
//
//   LLMD_CO_TRY(const auto path, co_await storage::fetch(loop, uri, "/var/cache/llmd/smollm2", {}));
//
// The result is the model's path: DIRECTORY/NAME for a file, DIRECTORY itself for a folder (file:// of a
// folder puts its content there). A finished file is recognised by its record and costs no network. Errors by
// kind: InvalidArgument (bad URI), NotFound (no such package, member, page, file), DataLoss (wrong hash;
// nothing is left), ResourceExhausted (disk full; nothing is left), Unavailable and DeadlineExceeded
// (network; a resumable part of an https download stays), Unimplemented (schemes that are not downloaded
// yet).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "async/event_loop.h"
#include "async/task.h"
#include "net/tls.h"
#include "process/process.h"
#include "storage/uri.h"

namespace llmd::storage {

struct Progress {
  enum class Step {
    Waiting,      // another process fetches the same file
    Downloading,  // bytes of total
    Extracting,   // a member of a wheel: bytes of total
    Copying,      // file:// across file systems
  };
  Step step = Step::Downloading;
  std::uint64_t bytes = 0;
  std::optional<std::uint64_t> total;
};

struct FetchOptions {
  std::function<void(const Progress&)> on_progress;  // on the loop, often: the receiver thins it out
  Duration timeout = std::chrono::hours(6);          // for everything, waiting for another process included
  Duration connect_timeout = std::chrono::seconds(15);
  Duration idle_timeout = std::chrono::seconds(60);  // without a single new byte
  int max_retries = 5;                             // of a broken https download, without progress in between
  Duration retry_delay = std::chrono::seconds(1);  // doubles with every retry, up to 30 s
  std::shared_ptr<const net::TlsClient> tls;       // null: what the system trusts
  std::vector<std::string> pip{"python3", "-m", "pip"};
  std::map<std::string, std::string> environment = process::current_environment();  // pip's
};

struct Fetched {
  std::filesystem::path path;
  std::string sha256;      // empty for folders
  std::uint64_t size = 0;  // of the file
  bool was_there = false;  // nothing had to be done
};

// Everything by value: the task may outlive the caller's temporaries.
Task<Result<Fetched>> fetch(async::EventLoop& loop, Uri uri, std::filesystem::path directory,
                            FetchOptions options);

}  // namespace llmd::storage
