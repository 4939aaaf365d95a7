// Feeds a gateway from files: the same objects as a cluster would have, in YAML or JSON. Files that change
// are read again without dropping a connection; while they contain a mistake the objects from before stay.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "async/event_loop.h"
#include "gateway/build_routes.h"
#include "gateway/gateway.h"

namespace llmd::gateway {

struct FileSourceOptions {
  std::vector<std::string> paths;                      // files, or folders of *.yaml, *.yml and *.json
  std::string address = {};                            // as BuildOptions
  Duration interval = std::chrono::milliseconds(500);  // between two looks at the files
};

class FileSource {
 public:
  // The gateway outlives the source.
  FileSource(Gateway& gateway, FileSourceOptions options);
  ~FileSource();

  // Reads the files and updates the gateway. InvalidArgument with file and line, NotFound.
  Result<void> load();
  // Looks at the files until cancelled.
  Task<void> run();

  // As KubeSource::on_update().
  void on_update(std::function<void(const RouteObjects&)> callback);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::gateway
