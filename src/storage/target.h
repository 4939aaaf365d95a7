// The place a fetched file goes to, and the rules that keep it honest: one process at a time (a lock file
// beside it), bytes go into a hidden part file, the finished file appears by rename, and a small record
// beside it says what it is, so that the next fetch of the same URI finds it done without asking the network.
//
// DIR/NAME  DIR/.NAME.part  DIR/.NAME.lock  DIR/.NAME.fetched. Private to src/storage; blocking calls, short
// ones.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/result.h"
#include "crypto/hash.h"

namespace llmd::storage {

// Disk errors with what a user can do about a full one.
Error disk_error(int error_number, const std::filesystem::path& path);

struct FetchRecord {
  std::string uri;
  std::string sha256;
  std::uint64_t size = 0;
};

class Target {
 public:
  // Makes the directory if it is missing.
  static Result<Target> open(const std::filesystem::path& directory, std::string name, std::string uri);
  Target(Target&&) = default;
  ~Target();

  // False while another process (or task) has it.
  Result<bool> try_lock();
  // The record of the file, if it is there, complete and of this URI.
  std::optional<FetchRecord> finished() const;
  // The part file becomes the file. Readers see the old one or the new one.
  Result<void> publish(const FetchRecord& record);
  void discard_part();
  // ResourceExhausted when the file system has less than `bytes` to give.
  Result<void> check_space(std::uint64_t bytes) const;

  const std::filesystem::path& path() const { return path_; }
  const std::filesystem::path& part_path() const { return part_; }
  // A sibling for the fetcher's own use: .NAME.SUFFIX
  std::filesystem::path hidden(std::string_view suffix) const;

 private:
  Target(std::filesystem::path directory, std::string name, std::string uri);

  std::filesystem::path directory_;
  std::string name_;
  std::string uri_;
  std::filesystem::path path_;
  std::filesystem::path part_;
  FileDescriptor lock_;
};

// Appends to the part file and hashes what it holds. Not thread-safe; may be moved between threads.
class PartFile {
 public:
  // Keeps what is there (`keep`) or begins anew. Kept bytes are read once, for the hash.
  static Result<PartFile> open(const std::filesystem::path& path, bool keep);

  Result<void> write(std::string_view bytes);
  Result<void> restart();  // throws away what was written
  std::uint64_t size() const { return size_; }
  // Flushes to the disk and gives the SHA-256 of the whole in hexadecimal. Nothing can be written afterwards.
  Result<std::string> finish();

 private:
  PartFile(std::filesystem::path path, FileDescriptor file)
      : path_(std::move(path)), file_(std::move(file)) {}
  Result<void> hash_existing();

  std::filesystem::path path_;
  FileDescriptor file_;
  crypto::Sha256 hash_;
  std::uint64_t size_ = 0;
};

}  // namespace llmd::storage
