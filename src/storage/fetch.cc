#include "storage/fetch.h"

#include <optional>

#include "async/deadline.h"
#include "async/worker.h"
#include "storage/sources.h"

namespace llmd::storage {
namespace {

constexpr Duration kLockPoll = std::chrono::milliseconds(100);

Error not_yet(const Uri& uri, RemoteKind kind) {
  switch (kind) {
    case RemoteKind::HuggingFace:
      return unimplemented("{}: downloads from Hugging Face are not built in yet", uri.text)
          .hint(
              "fetch the files with huggingface-cli and use file:///PATH, or an https:// link to one GGUF "
              "file");
    case RemoteKind::S3:
    case RemoteKind::GoogleStorage:
      return unimplemented("{}: downloads from object storage are not built in yet", uri.text)
          .hint("use a pre-signed https:// link, or copy the files and use file:///PATH");
    case RemoteKind::Oci:
      return unimplemented("{}: model images are not built in yet", uri.text)
          .hint("unpack the image and use file:///PATH");
  }
  return internal_error("no such kind of model URI");
}

Task<Result<void>> lock(FetchJob& job) {
  while (true) {
    LLMD_CO_TRY(const bool locked, job.target.try_lock());
    if (locked) {
      co_return Result<void>();
    }
    if (job.deadline.expired()) {
      co_return deadline_exceeded("another process has been fetching {} all the time",
                                  job.target.path().string());
    }
    job.report(Progress::Step::Waiting, 0, std::nullopt);
    co_await async::sleep(kLockPoll);
  }
}

Task<Result<FetchRecord>> fetch_source(FetchJob& job, const Uri& uri) {
  if (const auto* web = std::get_if<HttpSource>(&uri.source)) {
    auto record = co_await fetch_http(job, uri.text, *web);
    co_return record;
  }
  if (const auto* pypi = std::get_if<PypiSource>(&uri.source)) {
    auto record = co_await fetch_pypi(job, *pypi);
    co_return record;
  }
  auto record = co_await fetch_file(job, std::get<FileSource>(uri.source));
  co_return record;
}

std::optional<FetchRecord> already_there(const Target& target, const Uri& uri) {
  const auto* file = std::get_if<FileSource>(&uri.source);
  // A local file may have changed since it was recorded, and can be looked at.
  return !file || is_linked(file->path, target.path()) ? target.finished() : std::nullopt;
}

Task<Result<Fetched>> fetch_one_file(async::EventLoop& loop, const Uri& uri,
                                     const std::filesystem::path& directory, const FetchOptions& options) {
  LLMD_CO_TRY(Target target, Target::open(directory, uri.file_name(), uri.text));
  async::Worker worker("fetch");
  FetchJob job{loop, worker, target, options, async::Deadline::after(options.timeout)};
  LLMD_CO_TRY_VOID(co_await lock(job));
  if (auto there = already_there(target, uri)) {
    co_return Fetched{target.path(), std::move(there->sha256), there->size, true};
  }
  LLMD_CO_TRY(FetchRecord record, co_await fetch_source(job, uri));
  record.uri = uri.text;
  LLMD_CO_TRY_VOID(target.publish(record));
  co_return Fetched{target.path(), std::move(record.sha256), record.size, false};
}

// Replicas start together and ask for the same folder: one after the other, like files.
Task<Result<Fetched>> fetch_folder(async::EventLoop& loop, const Uri& uri,
                                   const std::filesystem::path& directory, const FetchOptions& options) {
  LLMD_CO_TRY(Target target, Target::open(directory, "folder", uri.text));
  async::Worker worker("fetch");
  FetchJob job{loop, worker, target, options, async::Deadline::after(options.timeout)};
  LLMD_CO_TRY_VOID(co_await lock(job));
  const auto link = [from = std::get<FileSource>(uri.source).path, directory] {
    return link_folder(from, directory);
  };
  LLMD_CO_TRY_VOID(co_await worker.run(link));
  co_return Fetched{.path = directory};
}

}  // namespace

Task<Result<Fetched>> fetch(async::EventLoop& loop, Uri uri, std::filesystem::path directory,
                            FetchOptions options) {
  if (const auto* remote = std::get_if<RemoteSource>(&uri.source)) {
    co_return not_yet(uri, remote->kind);
  }
  if (std::holds_alternative<PvcSource>(uri.source)) {
    co_return unimplemented("{}: a volume claim is mounted, not fetched", uri.text)
        .hint("inside the pod use file:// and the path of the mount");
  }
  if (const auto* file = std::get_if<FileSource>(&uri.source)) {
    std::error_code ignored;
    if (std::filesystem::is_directory(file->path, ignored)) {
      auto folder = co_await fetch_folder(loop, uri, directory, options);
      co_return folder;
    }
  }
  auto fetched = co_await fetch_one_file(loop, uri, directory, options);
  co_return fetched;
}

}  // namespace llmd::storage
