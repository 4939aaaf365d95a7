// Where a pod lives on disk. Everything the node must remember about a pod that outlives a killed `llmd up`
// is here.
//
//   <data>/pods/<uid>/
//     address              the pod's loopback address
//     volumes/<name>/      one folder per emptyDir (or a link for hostPath)
//     logs/<container>.log, <container>.log.1, <container>.previous.log
//     run/<container>.run.json    written by the shim when the program has started
//     run/<container>.exit.json   written by the shim when it has ended
//     run/<container>.lock        held by the shim while it lives
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace llmd::node {

class PodFolder {
 public:
  PodFolder(const std::filesystem::path& data, std::string_view uid) : root_(data / "pods" / uid) {}

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path address() const { return root_ / "address"; }
  std::filesystem::path volume(std::string_view name) const { return root_ / "volumes" / name; }
  std::filesystem::path logs() const { return root_ / "logs"; }
  std::filesystem::path run() const { return root_ / "run"; }
  std::filesystem::path run_record(std::string_view container) const {
    return file("run", container, ".run.json");
  }
  std::filesystem::path exit_record(std::string_view container) const {
    return file("run", container, ".exit.json");
  }
  std::filesystem::path lock(std::string_view container) const { return file("run", container, ".lock"); }
  std::filesystem::path log(std::string_view container) const { return file("logs", container, ".log"); }
  std::filesystem::path previous_log(std::string_view container) const {
    return file("logs", container, ".previous.log");
  }

 private:
  std::filesystem::path file(std::string_view folder, std::string_view container,
                             std::string_view suffix) const {
    return root_ / folder / (std::string(container) + std::string(suffix));
  }

  std::filesystem::path root_;
};

}  // namespace llmd::node
