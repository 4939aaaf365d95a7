// Client of a Kubernetes API server, ours or a real one. One loop; not thread-safe. Errors carry the kinds of
// base/error.h mapped from the server's Status (404 NotFound, 409 AlreadyExists or Conflict by reason, 422
// InvalidArgument, ...), with the server's message.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "async/deadline.h"
#include "async/event_loop.h"
#include "kube/object.h"
#include "kube/resource.h"
#include "net/address.h"

namespace llmd::kube {

struct ClientConfig {
  net::Address server;
  bool tls = true;
  std::string ca_pem;        // trust; empty with tls: the system's
  std::string server_name;   // for the certificate check; empty: server.host
  std::string bearer_token;  // never logged
  // Instead: tokens of pods end, and the kubelet writes a new one in time. Read again once a minute.
  std::string bearer_token_file;
  std::string client_certificate_pem;
  std::string client_key_pem;
  std::string user_agent = "llmd";
  Duration timeout = std::chrono::seconds(30);

  static Result<ClientConfig> from_kubeconfig(const std::string& path, const std::string& context = {});
  static Result<ClientConfig> in_cluster();
};

// Where a program that was not told otherwise keeps its own objects: NAMESPACE, the namespace of the pod's
// account, "default".
std::string own_namespace();

struct ListOptions {
  std::string label_selector;
  std::string field_selector;
};
struct List {
  std::vector<Object> items;
  std::string resource_version;
};

enum class WatchType { Added, Modified, Deleted, Bookmark };
struct WatchEvent {
  WatchType type;
  Object object;
};

enum class Propagation { Background, Foreground, Orphan };

class Client {
 public:
  static Result<std::unique_ptr<Client>> create(async::EventLoop& loop, ClientConfig config);
  virtual ~Client() = default;

  virtual Task<Result<Object>> get(const Resource& resource, ObjectKey key) = 0;
  virtual Task<Result<List>> list(const Resource& resource, std::string name_space,
                                  ListOptions options = {}) = 0;
  virtual Task<Result<Object>> create(const Resource& resource, Object object) = 0;
  // Whole object with resourceVersion: Conflict when somebody was faster.
  virtual Task<Result<Object>> update(const Resource& resource, Object object) = 0;
  virtual Task<Result<Object>> update_status(const Resource& resource, Object object) = 0;
  // Server-side apply as `manager`, forcing conflicts.
  virtual Task<Result<Object>> apply(const Resource& resource, Object object, std::string manager) = 0;
  virtual Task<Result<Object>> apply_status(const Resource& resource, Object object, std::string manager) = 0;
  // application/merge-patch+json; `subresource` may be "status" or "".
  virtual Task<Result<Object>> merge_patch(const Resource& resource, ObjectKey key, Object patch,
                                           std::string subresource = {}) = 0;
  virtual Task<Result<void>> remove(const Resource& resource, ObjectKey key,
                                    Propagation propagation = Propagation::Background,
                                    std::string uid_precondition = {},
                                    std::optional<int> grace_period_seconds = {}) = 0;
  // Delivers events from `resource_version` on until the server ends the watch (returns the last resource
  // version seen) or fails. 410 Gone is FailedPrecondition: list again. `name_space` empty: all.
  virtual Task<Result<std::string>> watch(const Resource& resource, std::string name_space,
                                          ListOptions options, std::string resource_version,
                                          std::function<void(WatchEvent)> on_event) = 0;
};

}  // namespace llmd::kube
