#include "llmisvc/storage.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <utility>

#include "base/strings.h"
#include "crypto/encode.h"
#include "crypto/hash.h"
#include "json/path.h"
#include "llmisvc/child_name.h"
#include "llmisvc/labels.h"
#include "llmisvc/merge.h"
#include "llmisvc/object_edit.h"
#include "llmisvc/pod_edit.h"
#include "llmisvc/storage_credentials.h"

namespace llmd::llmisvc {
namespace {

constexpr std::string_view kDownloads = "kserve-provision-location";  // the volume that downloads go to
constexpr int kModelCarUser = 1010;
constexpr std::string_view kInitializer = "storage-initializer";

constexpr std::array<std::pair<std::string_view, Mechanism>, 10> kSchemes{{
    {"hf", Mechanism::Download},
    {"s3", Mechanism::Download},
    {"gs", Mechanism::Download},
    {"https", Mechanism::Download},
    {"http", Mechanism::Download},
    {"pypi", Mechanism::Download},
    {"file", Mechanism::HostFolder},
    {"pvc", Mechanism::VolumeClaim},
    {"oci", Mechanism::ModelCar},
    {"oci+native", Mechanism::ImageVolume},
}};

// What goes where in the download volume: pairs of URI and folder.
struct Download {
  std::string uri;
  std::string folder;
};

// Where the model really is: with KServe's local model cache on a claim, under the hash of what was cached.
std::string effective_uri(const Service& service) {
  static constexpr std::string_view kPrefix = "internal.serving.kserve.io/localmodel";
  const json::Value metadata(service.metadata);
  const auto entry = [&](const char* which, std::string_view suffix) {
    const auto* map = json::object_at(metadata, which);
    const auto* value = map == nullptr ? nullptr : map->if_contains(fmt::format("{}{}", kPrefix, suffix));
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
  };
  const std::string source = entry("annotations", "-sourceuri");
  const std::string claim = entry("annotations", "-pvc-name");
  if (entry("labels", "").empty() || source.empty() || claim.empty() ||
      !service.model.uri.starts_with(source)) {
    return service.model.uri;
  }
  return fmt::format("pvc://{}/models/{}{}", claim, crypto::to_hex(crypto::sha256(source)).substr(0, 16),
                     service.model.uri.substr(source.size()));
}

// Certificate authorities of the cluster, for downloads over TLS.
void add_ca_bundle(json::Object& pod, json::Object& downloader, const Facts& facts) {
  static constexpr std::string_view kFolder = "/etc/ssl/custom-certs";
  if (facts.ca_bundle.empty()) {
    return;
  }
  add_volume(pod, "cabundle-cert", {{"configMap", {{"name", facts.ca_bundle}}}});
  add_mount(downloader, "cabundle-cert", kFolder, true);
  add_env(downloader, "CA_BUNDLE_CONFIGMAP_NAME", facts.ca_bundle);
  add_env(downloader, "CA_BUNDLE_VOLUME_MOUNT_POINT", kFolder);
}

json::Object initializer(const std::vector<Download>& downloads, std::string_view mount, const Facts& facts) {
  json::Array args;
  bool from_hub = false;
  for (const Download& download : downloads) {
    args.push_back(text_value(download.uri));
    args.push_back(text_value(download.folder));
    from_hub |= download.uri.starts_with("hf://");
  }
  json::Object container{{"name", text_value(kInitializer)},
                         {"image", text_value(facts.storage_initializer_image)},
                         {"args", std::move(args)}};
  if (from_hub) {
    add_env(container, "HF_HUB_ENABLE_HF_TRANSFER", "1");
    add_env(container, "HF_XET_HIGH_PERFORMANCE", "1");
    add_env(container, "HF_XET_NUM_CONCURRENT_RANGE_GETS", "8");
  }
  container["resources"] = {{"limits", {{"cpu", "1"}, {"memory", "1Gi"}}},
                            {"requests", {{"cpu", "100m"}, {"memory", "100Mi"}}}};
  container["terminationMessagePolicy"] = "FallbackToLogsOnError";
  add_mount(container, kDownloads, mount, false);
  return container;
}

// A container of that name written by the user is merged onto the generated one; what it downloads stays
// ours.
void place_initializer(json::Object& pod, json::Object container) {
  if (json::Object* own = find_container(pod, kInitializer, "initContainers")) {
    json::Object merged = merge(container, *own);
    merged["name"] = text_value(kInitializer);
    merged["args"] = container["args"];
    merged.erase("command");
    *own = std::move(merged);
    return;
  }
  json::Array& list = list_in(pod, "initContainers");
  list.insert(list.begin(), json::Value(std::move(container)));
}

void remove_initializer(json::Object& pod) {
  if (auto* list = pod.if_contains("initContainers"); list != nullptr && list->is_array()) {
    auto& containers = list->get_array();
    for (auto it = containers.begin(); it != containers.end();) {
      const auto* object = it->if_object();
      const auto* name = object != nullptr ? object->if_contains("name") : nullptr;
      it = name != nullptr && *name == text_value(kInitializer) ? containers.erase(it) : it + 1;
    }
    if (containers.empty()) {
      pod.erase("initContainers");
    }
  }
}

void mount_claim(json::Object& pod, json::Object& server, std::string_view volume, std::string_view location,
                 std::string_view folder) {
  const std::size_t slash = location.find('/');
  const std::string_view claim = location.substr(0, slash);
  const std::string_view path =
      slash == std::string_view::npos ? std::string_view() : location.substr(slash + 1);
  add_volume(pod, volume, {{"persistentVolumeClaim", {{"claimName", text_value(claim)}}}});
  add_mount(server, volume, folder, true, path);
}

// The image's /models appears under /mnt/models through the shared process namespace.
void add_model_car(json::Object& pod, json::Object& server, const std::string& image) {
  const json::Object resources{{"limits", {{"cpu", "10m"}, {"memory", "15Mi"}}},
                               {"requests", {{"cpu", "10m"}, {"memory", "15Mi"}}}};
  json::Object init{{"name", "modelcar-init"},
                    {"image", image},
                    {"imagePullPolicy", "IfNotPresent"},
                    {"args", {"sh", "-c", "test -n \"$(ls -A /models)\""}},
                    {"resources", resources},
                    {"terminationMessagePolicy", "FallbackToLogsOnError"}};
  json::Object car{{"name", "modelcar"},
                   {"image", image},
                   {"imagePullPolicy", "IfNotPresent"},
                   {"args", {"sh", "-c", "ln -sf /proc/$$/root/models /mnt/models && sleep infinity"}},
                   {"resources", resources},
                   {"terminationMessagePolicy", "FallbackToLogsOnError"},
                   {"securityContext", {{"runAsUser", kModelCarUser}}}};
  // Kubernetes reads $$ as an escaped $; the shell needs both.
  car["args"].get_array()[2] = "ln -sf /proc/$$$$/root/models /mnt/models && sleep infinity";
  init["args"].get_array()[2] = "test -n \"$$(ls -A /models)\"";
  add_mount(car, kDownloads, "/mnt", false);
  add_mount(server, kDownloads, "/mnt", false);
  add_env(server, "MODEL_INIT_MODE", "async");
  // Reading another process's files takes the same user.
  json::Object& context = object_member(server, "securityContext");
  if (!context.contains("runAsUser")) {
    context["runAsUser"] = kModelCarUser;
  }
  // `server` points into containers: nothing may be added to that list before this line.
  add_keyed(pod, "initContainers", "name", std::move(init));
  add_keyed(pod, "containers", "name", std::move(car));
  add_volume(pod, kDownloads, {{"emptyDir", json::Object()}});
  pod["shareProcessNamespace"] = true;
}

Result<void> mount_adapter(json::Object& pod, json::Object& server, const Adapter& adapter,
                           const ModelUri& uri) {
  if (uri.mechanism != Mechanism::VolumeClaim) {
    return invalid_argument("adapter '{}': {}:// cannot carry an adapter", adapter.name, uri.scheme)
        .hint("put it on the hub (hf://), into a bucket (s3://) or onto a volume (pvc://)");
  }
  std::string volume = to_lower(child_name("lora-pvc-", adapter.name));
  std::ranges::replace_if(
      volume, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-'; }, '-');
  mount_claim(pod, server, volume, uri.rest, adapter_folder(adapter.name));
  return {};
}

}  // namespace

Result<ModelUri> parse_model_uri(std::string_view uri, Platform platform) {
  std::vector<std::string_view> known;
  for (const auto& [scheme, mechanism] : kSchemes) {
    known.push_back(scheme);
  }
  const std::size_t colon = uri.find("://");
  if (colon == std::string_view::npos) {
    return invalid_argument("'{}' has no scheme", uri)
        .hint(fmt::format("write where the model is, for example hf://{}", uri));
  }
  ModelUri result{.scheme = std::string(uri.substr(0, colon)), .rest = std::string(uri.substr(colon + 3))};
  const auto* found =
      std::ranges::find(kSchemes, result.scheme, &std::pair<std::string_view, Mechanism>::first);
  if (found == kSchemes.end()) {
    const std::string near = did_you_mean(result.scheme, known);
    return invalid_argument("unknown scheme '{}://'", result.scheme)
        .hint(near.empty() ? "known: hf, s3, gs, https, http, pypi, file, pvc, oci, oci+native" : near);
  }
  if (result.rest.empty()) {
    return invalid_argument("'{}' names nothing behind the scheme", uri);
  }
  result.mechanism =
      result.scheme == "file" && platform == Platform::Local ? Mechanism::Download : found->second;
  return result;
}

std::string adapter_folder(std::string_view adapter_name) {
  std::string safe;
  for (const char c : adapter_name) {
    const bool keep = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
    safe += keep ? c : '-';
  }
  if (safe.empty() || safe == "." || safe == "..") {
    safe = "adapter";
  }
  return "/mnt/lora/" + safe;
}

Result<void> add_model_storage(json::Object& pod, const Service& service, const Facts& facts) {
  if (!service.mounts_model) {
    remove_initializer(pod);
    return {};
  }
  const std::string model_uri = effective_uri(service);
  LLMD_TRY(const auto uri, parse_model_uri(model_uri, facts.platform));
  json::Object* server = find_container(pod, "main");
  if (server == nullptr) {
    return {};
  }
  std::vector<Download> downloads;
  if (uri.mechanism == Mechanism::Download) {
    downloads.push_back({.uri = service.model.uri, .folder = std::string(kModelFolder)});
  }
  bool has_adapter_download = false;
  for (const Adapter& adapter : service.model.adapters) {
    LLMD_TRY(const auto where, parse_model_uri(adapter.uri, facts.platform));
    if (where.mechanism == Mechanism::Download) {
      downloads.push_back({.uri = adapter.uri, .folder = adapter_folder(adapter.name)});
      has_adapter_download = true;
    } else {
      LLMD_TRY_VOID(mount_adapter(pod, *server, adapter, where));
    }
  }
  if (uri.mechanism == Mechanism::VolumeClaim) {
    mount_claim(pod, *server, "kserve-pvc-source", uri.rest, kModelFolder);
  } else if (uri.mechanism == Mechanism::HostFolder) {
    if (!uri.rest.starts_with('/') || uri.rest.find("..") != std::string::npos) {
      return invalid_argument("'{}': on a cluster the folder is one of the node's", model_uri)
          .hint("write an absolute path, for example file:///srv/models/mine");
    }
    add_volume(pod, "kserve-file-source",
               {{"hostPath", {{"path", text_value(uri.rest)}, {"type", "DirectoryOrCreate"}}}});
    add_mount(*server, "kserve-file-source", kModelFolder, true);
  } else if (uri.mechanism == Mechanism::ImageVolume) {
    add_volume(pod, "kserve-oci-source", {{"image", {{"reference", text_value(uri.rest)}}}});
    add_mount(*server, "kserve-oci-source", kModelFolder, true, "models");
  }
  if (downloads.empty()) {
    remove_initializer(pod);
  } else {
    // Adapters stand beside the model, so the volume is mounted where both meet.
    const std::string_view mount = has_adapter_download ? std::string_view("/mnt") : kModelFolder;
    add_mount(*server, kDownloads, mount, true);
    json::Object downloader = initializer(downloads, mount, facts);
    add_credentials(pod, downloader, service, facts);
    add_ca_bundle(pod, downloader, facts);
    place_initializer(pod, std::move(downloader));
    add_volume(pod, kDownloads, {{"emptyDir", json::Object()}});
  }
  if (uri.mechanism == Mechanism::ModelCar) {
    add_model_car(pod, *server, uri.rest);
  }
  return {};
}

}  // namespace llmd::llmisvc
