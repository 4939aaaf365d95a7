#include "gateway/file_source.h"

#include <sys/stat.h>

#include <algorithm>
#include <deque>
#include <tuple>

#include "async/deadline.h"
#include "base/file.h"
#include "base/log.h"
#include "gateway/fields.h"
#include "json/yaml.h"
#include "kube/resource.h"

namespace llmd::gateway {
namespace {

namespace fs = std::filesystem;

// What tells that a file has changed, also when a link to it was moved (as ConfigMap volumes do).
struct Seen {
  fs::path path;
  std::tuple<ino_t, off_t, std::int64_t> version;
  bool operator==(const Seen&) const = default;
};

bool is_manifest(const fs::path& path) {
  return path.extension() == ".yaml" || path.extension() == ".yml" || path.extension() == ".json";
}

Result<std::vector<Seen>> look(const std::vector<std::string>& paths) {
  std::vector<Seen> seen;
  for (const fs::path path : paths) {
    std::error_code error;
    std::vector<fs::path> files{path};
    if (fs::is_directory(path, error)) {
      files.clear();
      for (const auto& entry : fs::directory_iterator(path, error)) {
        if (is_manifest(entry.path())) {
          files.push_back(entry.path());
        }
      }
      std::ranges::sort(files);
    }
    for (const fs::path& file : files) {
      struct stat status{};
      if (::stat(file.c_str(), &status) != 0) {
        return system_error(errno, "read " + file.string());
      }
      const auto changed = std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
      seen.push_back({file, {status.st_ino, status.st_size, changed}});
    }
  }
  return seen;
}

// A List stands for its items.
void add_objects(const kube::Object& document, std::deque<kube::Object>& objects) {
  if (kube::kind_of(document).ends_with("List") && document.contains("items")) {
    for (const kube::Object* item : objects_in(document, "items")) {
      objects.push_back(*item);
    }
  } else {
    objects.push_back(document);
  }
}

Result<std::deque<kube::Object>> read(const std::vector<Seen>& files) {
  std::deque<kube::Object> objects;
  for (const Seen& file : files) {
    LLMD_TRY(const std::string text, read_file(file.path));
    LLMD_TRY(const auto documents, json::parse_yaml(text, file.path.string()));
    for (const auto& document : documents) {
      if (!document.value.is_object()) {
        return invalid_argument("{}: expected an object", document.place_of(""));
      }
      add_objects(document.value.as_object(), objects);
    }
  }
  // Where kubectl would put it.
  for (kube::Object& object : objects) {
    const auto kind = kube::kind_of(object);
    const bool namespaced = kind != kube::kNamespaces.kind && kind != kube::kGatewayClasses.kind;
    if (namespaced && kube::namespace_of(object).empty()) {
      kube::at(object, "metadata.namespace") = "default";
    }
  }
  return objects;
}

// Nobody reads the status of files: what it would say goes to the log.
void log_problems(const std::vector<StatusChange>& status) {
  const auto log_conditions = [](const kube::Object& object, const kube::Object& holder) {
    for (const kube::Object* condition : objects_in(holder, "conditions")) {
      const std::string_view type = kube::find_string(*condition, "type");
      if (kube::find_string(*condition, "status") == "False" && type != "Conflicted") {
        log::warning("not served as written", {{"kind", kube::kind_of(object)},
                                               {"name", kube::key_of(object).to_string()},
                                               {"reason", kube::find_string(*condition, "reason")},
                                               {"problem", kube::find_string(*condition, "message")}});
      }
    }
  };
  for (const StatusChange& change : status) {
    for (const char* list : {"status.parents", "status.listeners"}) {
      for (const kube::Object* holder : objects_in(change.object, list)) {
        log_conditions(change.object, *holder);
      }
    }
  }
}

}  // namespace

struct FileSource::State {
  Gateway& gateway;
  const FileSourceOptions options;
  std::vector<Seen> seen = {};
  std::vector<std::function<void(const RouteObjects&)>> callbacks = {};

  Result<void> load(std::vector<Seen> files) {
    seen = std::move(files);
    LLMD_TRY(const auto objects, read(seen));
    RouteObjects sorted;
    for (const kube::Object& object : objects) {
      sorted.add(object);
    }
    auto built = build_routes(sorted, {.alone = true,
                                       .external_pickers = gateway.configuration().pools.external(),
                                       .address = options.address,
                                       .now = to_rfc3339(system_clock().wall_now())});
    log_problems(built.status);
    gateway.update(std::move(built.table));
    gateway.update_models(build_model_targets(sorted, gateway.configuration().pools.external()));
    for (const auto& callback : callbacks) {
      callback(sorted);
    }
    return {};
  }
};

FileSource::FileSource(Gateway& gateway, FileSourceOptions options)
    : state_(new State{.gateway = gateway, .options = std::move(options)}) {}
FileSource::~FileSource() = default;

void FileSource::on_update(std::function<void(const RouteObjects&)> callback) {
  state_->callbacks.push_back(std::move(callback));
}

Result<void> FileSource::load() {
  LLMD_TRY(auto files, look(state_->options.paths));
  return state_->load(std::move(files));
}

Task<void> FileSource::run() {
  while (true) {
    co_await async::sleep(state_->options.interval);
    auto files = look(state_->options.paths);
    if (!files || *files == state_->seen) {
      continue;  // a file that is being replaced is there again at the next look
    }
    const auto loaded = state_->load(std::move(*files));
    if (loaded) {
      log::info("files read again", {{"files", state_->seen.size()}});
    } else {
      log::error("files not read; the objects from before stay", {{"error", loaded.error().text()}});
    }
  }
}

}  // namespace llmd::gateway
