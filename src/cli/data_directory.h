// Where llmd keeps its state on this machine (docs/architecture.md, "State").
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/result.h"

namespace llmd::cli {

class DataDirectory {
 public:
  // `given` (--data) or $XDG_STATE_HOME/llmd or ~/.local/state/llmd; made with mode 0700.
  static Result<DataDirectory> open(const std::string& given);

  const std::filesystem::path& root() const { return root_; }

  std::filesystem::path kubeconfig() const { return root_ / "kubeconfig"; }
  std::filesystem::path certificate() const { return root_ / "tls" / "server.crt"; }
  std::filesystem::path key() const { return root_ / "tls" / "server.key"; }
  std::filesystem::path token() const { return root_ / "token"; }
  std::filesystem::path log() const { return root_ / "llmd.log"; }
  std::filesystem::path running() const {
    return root_ / "running.json";
  }  // addresses of the `llmd up` that holds the lock
  // --data given: models live below it too; otherwise $XDG_CACHE_HOME/llmd/models.
  std::filesystem::path models() const { return models_; }

  // Exclusive for as long as the descriptor lives; FailedPrecondition when another process holds it.
  Result<FileDescriptor> lock() const;

 private:
  DataDirectory(std::filesystem::path root, std::filesystem::path models)
      : root_(std::move(root)), models_(std::move(models)) {}

  std::filesystem::path root_;
  std::filesystem::path models_;
};

}  // namespace llmd::cli
