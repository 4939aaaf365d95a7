#include "kube/client.h"

#include <fmt/format.h>

#include "async/scope.h"
#include "base/file.h"
#include "base/strings.h"
#include "http/client.h"
#include "json/value.h"
#include "net/tls_options.h"

namespace llmd::kube {

namespace {

constexpr std::size_t kMaxAnswer = 256 << 20;
constexpr std::size_t kMaxEvent = 64 << 20;
constexpr std::size_t kMaxToken = 64 << 10;
constexpr Duration kTokenLooks = std::chrono::minutes(1);
constexpr std::string_view kJson = "application/json";
constexpr std::string_view kMergePatch = "application/merge-patch+json";
constexpr std::string_view kApplyPatch = "application/apply-patch+yaml";

struct Call {
  std::string method;
  std::string path;
  std::string query;
  std::string content_type;
  std::string content;
};

// The kinds of base/error.h; the server's reason tells apart what shares a number.
Error error_of_status(int code, std::string_view body) {
  const auto status = json::parse_object(body);
  const std::string message =
      status ? std::string(find_string(*status, "message")) : std::string(body.substr(0, 512));
  const std::string_view reason = status ? find_string(*status, "reason") : std::string_view();
  ErrorKind kind = kind_of_http_status(code);
  if (code == 409) {
    kind = reason == "AlreadyExists" ? ErrorKind::AlreadyExists : ErrorKind::Conflict;
  } else if (code == 410) {
    kind = ErrorKind::FailedPrecondition;
  } else if (code == 422) {
    kind = ErrorKind::InvalidArgument;
  }
  return {kind, message.empty() ? fmt::format("the API server answered {}", code) : message, {}};
}

std::string query_of(const ListOptions& options) {
  std::string query;
  if (!options.label_selector.empty()) {
    query += "&labelSelector=" + http::percent_encode(options.label_selector);
  }
  if (!options.field_selector.empty()) {
    query += "&fieldSelector=" + http::percent_encode(options.field_selector);
  }
  return query;
}

// One line of a watch.
Result<WatchEvent> read_event(std::string_view line) {
  LLMD_TRY(auto event, json::parse_object(line));
  const std::string_view type = find_string(event, "type");
  boost::json::value* body = event.if_contains("object");
  if (!body || !body->is_object()) {
    return data_loss("a watch event without an object");
  }
  Object object = std::move(body->get_object());
  if (type == "ERROR") {
    return error_of_status(static_cast<int>(find_int(object, "code", 500)),
                           json::write(boost::json::value(object)));
  }
  static constexpr std::pair<std::string_view, WatchType> kTypes[] = {{"ADDED", WatchType::Added},
                                                                      {"MODIFIED", WatchType::Modified},
                                                                      {"DELETED", WatchType::Deleted},
                                                                      {"BOOKMARK", WatchType::Bookmark}};
  for (const auto& [name, value] : kTypes) {
    if (name == type) {
      return WatchEvent{value, std::move(object)};
    }
  }
  return data_loss("a watch event of unknown type '{}'", type);
}

class HttpClient final : public Client {
 public:
  HttpClient(async::EventLoop& loop, ClientConfig config, http::ClientOptions options)
      : config_(std::move(config)), pool_(loop, std::move(options)) {}

  Task<Result<Object>> get(const Resource& resource, ObjectKey key) override {
    return object_call({"GET", resource.path(key.name_space, key.name), {}, {}, {}});
  }

  Task<Result<List>> list(const Resource& resource, std::string name_space, ListOptions options) override {
    const std::string path = resource.path(name_space);
    const std::string query = query_of(options);
    List result;
    std::string page;
    do {
      Call call{"GET", path, "limit=500" + query, {}, {}};
      if (!page.empty()) {
        call.query += "&continue=" + http::percent_encode(page);
      }
      LLMD_CO_TRY(auto body, co_await object_call(std::move(call)));
      result.resource_version = find_string(body, "metadata.resourceVersion");
      page = find_string(body, "metadata.continue");
      take_items(body, resource, result.items);
    } while (!page.empty());
    co_return result;
  }

  Task<Result<Object>> create(const Resource& resource, Object object) override {
    return object_call(
        {"POST", resource.path(namespace_of(object)), {}, std::string(kJson), text_of(object)});
  }
  Task<Result<Object>> update(const Resource& resource, Object object) override {
    return put(resource, object, {});
  }
  Task<Result<Object>> update_status(const Resource& resource, Object object) override {
    return put(resource, object, "/status");
  }
  Task<Result<Object>> apply(const Resource& resource, Object object, std::string manager) override {
    return apply_to(resource, std::move(object), std::move(manager), {});
  }
  Task<Result<Object>> apply_status(const Resource& resource, Object object, std::string manager) override {
    return apply_to(resource, std::move(object), std::move(manager), "/status");
  }

  Task<Result<Object>> merge_patch(const Resource& resource, ObjectKey key, Object patch,
                                   std::string subresource) override {
    std::string path = resource.path(key.name_space, key.name);
    if (!subresource.empty()) {
      path += "/" + subresource;
    }
    return object_call({"PATCH", std::move(path), {}, std::string(kMergePatch), text_of(patch)});
  }

  Task<Result<void>> remove(const Resource& resource, ObjectKey key, Propagation propagation,
                            std::string uid_precondition, std::optional<int> grace_period_seconds) override {
    Object options{{"kind", "DeleteOptions"}, {"apiVersion", "v1"}};
    options["propagationPolicy"] = propagation == Propagation::Background   ? "Background"
                                   : propagation == Propagation::Foreground ? "Foreground"
                                                                            : "Orphan";
    if (!uid_precondition.empty()) {
      at(options, "preconditions.uid") = uid_precondition;
    }
    if (grace_period_seconds) {
      options["gracePeriodSeconds"] = *grace_period_seconds;
    }
    Call call{"DELETE", resource.path(key.name_space, key.name), {}, std::string(kJson), text_of(options)};
    LLMD_CO_TRY(const auto answer, co_await object_call(std::move(call)));
    co_return Result<void>();
  }

  Task<Result<std::string>> watch(const Resource& resource, std::string name_space, ListOptions options,
                                  std::string resource_version,
                                  std::function<void(WatchEvent)> on_event) override {
    const std::string path = resource.path(name_space) +
                             "?watch=true&allowWatchBookmarks=true&timeoutSeconds=600" +
                             "&resourceVersion=" + http::percent_encode(resource_version) + query_of(options);
    http::ClientRequest request;
    request.address = config_.server;
    request.head = head("GET", path);
    request.timeouts.first_byte = config_.timeout;
    // The server sends a bookmark about once a minute, so a longer silence means that it is gone.
    request.timeouts.idle = std::chrono::minutes(5);
    LLMD_CO_TRY(const auto response, co_await pool_.send(std::move(request)));
    if (response->status() != 200) {
      LLMD_CO_TRY(const auto body, co_await http::read_all(response->body(), kMaxEvent));
      co_return error_of_status(response->status(), body);
    }
    std::string pending;
    while (true) {
      LLMD_CO_TRY(const auto bytes, co_await response->body().next());
      if (bytes.empty()) {
        co_return resource_version;
      }
      if (pending.size() + bytes.size() > kMaxEvent) {
        co_return resource_exhausted("a watch event is larger than {} bytes", kMaxEvent);
      }
      pending += bytes;
      LLMD_CO_TRY_VOID(deliver_lines(pending, resource_version, on_event));
    }
  }

 private:
  static std::string text_of(const Object& object) { return json::write(boost::json::value(object)); }

  static void take_items(Object& body, const Resource& resource, std::vector<Object>& items) {
    boost::json::value* list = body.if_contains("items");
    if (!list || !list->is_array()) {
      return;
    }
    for (boost::json::value& item : list->get_array()) {
      if (item.is_object()) {
        Object& object = items.emplace_back(std::move(item.get_object()));
        // Servers leave both out in lists of built-in kinds.
        object["apiVersion"] = resource.api_version();
        object["kind"] = resource.kind;
      }
    }
  }

  static Result<void> deliver_lines(std::string& pending, std::string& version,
                                    const std::function<void(WatchEvent)>& on_event) {
    std::size_t start = 0;
    for (std::size_t end = 0; (end = pending.find('\n', start)) != std::string::npos; start = end + 1) {
      const std::string_view line = std::string_view(pending).substr(start, end - start);
      if (line.empty()) {
        continue;
      }
      LLMD_TRY(auto event, read_event(line));
      version = resource_version_of(event.object);
      on_event(std::move(event));
    }
    pending.erase(0, start);
    return {};
  }

  http::RequestHead head(std::string_view method, std::string target) const {
    http::RequestHead made;
    made.method = method;
    made.target = std::move(target);
    made.headers.add("Accept", std::string(kJson));
    made.headers.add("User-Agent", config_.user_agent);
    if (const std::string& token = bearer_token(); !token.empty()) {
      made.headers.add("Authorization", "Bearer " + token);
    }
    return made;
  }

  // While the file cannot be read the last token is as good as any.
  const std::string& bearer_token() const {
    if (config_.bearer_token_file.empty()) {
      return config_.bearer_token;
    }
    const TimePoint now = std::chrono::steady_clock::now();
    if (token_.empty() || now >= token_good_until_) {
      if (auto read = read_file(config_.bearer_token_file, kMaxToken)) {
        token_ = trim(*read);
      }
      token_good_until_ = now + kTokenLooks;
    }
    return token_;
  }

  Task<Result<Object>> put(const Resource& resource, const Object& object, std::string_view suffix) {
    std::string path = resource.path(namespace_of(object), name_of(object));
    path += suffix;
    return object_call({"PUT", std::move(path), {}, std::string(kJson), text_of(object)});
  }

  Task<Result<Object>> apply_to(const Resource& resource, Object object, std::string manager,
                                std::string_view suffix) {
    if (Object* metadata = const_cast<Object*>(find_object(object, "metadata"))) {
      metadata->erase("managedFields");
      metadata->erase("resourceVersion");
    }
    std::string path = resource.path(namespace_of(object), name_of(object));
    path += suffix;
    std::string query = "force=true&fieldManager=" + http::percent_encode(manager);
    return object_call(
        {"PATCH", std::move(path), std::move(query), std::string(kApplyPatch), text_of(object)});
  }

  Task<Result<Object>> object_call(Call call) {
    http::ClientRequest request;
    request.address = config_.server;
    request.head = head(call.method, call.query.empty() ? call.path : call.path + "?" + call.query);
    if (!call.content_type.empty()) {
      request.head.headers.add("Content-Type", call.content_type);
    }
    request.content = call.content;
    request.timeouts.first_byte = config_.timeout;
    request.timeouts.total = async::Deadline::after(2 * config_.timeout);
    auto answer = co_await http::fetch(pool_, std::move(request), kMaxAnswer);
    if (!answer) {
      co_return std::move(answer.error()).within(call.method + " " + call.path);
    }
    if (answer->status >= 400) {
      co_return error_of_status(answer->status, answer->body);
    }
    co_return json::parse_object(answer->body);
  }

  const ClientConfig config_;
  mutable std::string token_;  // of the file
  mutable TimePoint token_good_until_;
  http::ClientPool pool_;
};

}  // namespace

Result<std::unique_ptr<Client>> Client::create(async::EventLoop& loop, ClientConfig config) {
  http::ClientOptions options;
  if (config.tls) {
    LLMD_TRY(options.tls, net::make_tls_client({.ca_pem = config.ca_pem,
                                                .certificate_pem = config.client_certificate_pem,
                                                .key_pem = config.client_key_pem,
                                                .server_name = config.server_name}));
  }
  return std::make_unique<HttpClient>(loop, std::move(config), std::move(options));
}

}  // namespace llmd::kube
