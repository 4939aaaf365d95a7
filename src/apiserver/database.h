// The file behind the API server: SQLite in WAL mode with synchronous=FULL, so that a committed transaction
// survives a killed process and a power cut. One fsync per commit is what it costs; registry.h therefore
// commits whole groups of writes.
//
// Blocking; all calls on one thread at a time (an async::Worker).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "kube/object.h"

namespace llmd::apiserver {

// One object written or removed.
struct StoredWrite {
  std::string kind;  // "apps/deployments"
  kube::ObjectKey key;
  std::uint64_t version = 0;
  std::shared_ptr<const kube::Object> object;  // null: removed
};

struct StoredObject {
  std::string kind;
  std::uint64_t version = 0;
  kube::Object object;
};

class Database {
 public:
  // Creates file and tables as needed. A file of another program or a newer format is DataLoss.
  static Result<std::unique_ptr<Database>> open(const std::filesystem::path& file);
  virtual ~Database() = default;

  virtual Result<std::vector<StoredObject>> load() = 0;
  // The highest version ever committed, also of objects that are gone.
  virtual std::uint64_t version() const = 0;
  // All or none. On return the writes are on disk.
  virtual Result<void> commit(std::span<const StoredWrite> writes) = 0;
};

}  // namespace llmd::apiserver
