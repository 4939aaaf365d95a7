// The ways a file comes in; fetch.cc chooses one and holds the target's lock meanwhile. Private to
// src/storage.
#pragma once

#include "async/deadline.h"
#include "async/worker.h"
#include "storage/fetch.h"
#include "storage/target.h"

namespace llmd::storage {

// What every source works with. Disk work (writing, hashing, unpacking) goes to the worker's thread. Its
// functions own what they touch (copies, shared_ptr): the waiting task may be cancelled while they run.
struct FetchJob {
  async::EventLoop& loop;
  async::Worker& worker;
  Target& target;
  const FetchOptions& options;
  async::Deadline deadline;

  void report(Progress::Step step, std::uint64_t bytes, std::optional<std::uint64_t> total) const {
    if (options.on_progress) {
      options.on_progress({step, bytes, total});
    }
  }
};

// Each leaves a complete, verified part file and returns what it is (without the URI), or nothing but what a
// later run can use.
Task<Result<FetchRecord>> fetch_http(FetchJob& job, const std::string& uri, HttpSource source);
Task<Result<FetchRecord>> fetch_pypi(FetchJob& job, PypiSource source);
Task<Result<FetchRecord>> fetch_file(FetchJob& job, FileSource source);

// `to` is a link to the file `from`, or an earlier copy of it (same size, same time).
bool is_linked(const std::filesystem::path& from, const std::filesystem::path& to);

// A folder: hard links, or copies where links cannot be. Blocking.
Result<void> link_folder(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace llmd::storage
