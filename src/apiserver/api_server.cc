#include "apiserver/api_server.h"

#include "apiserver/defaults.h"
#include "apiserver/dispatch.h"
#include "apiserver/mutate.h"
#include "async/scope.h"
#include "base/assert.h"
#include "base/file.h"
#include "base/log.h"
#include "crypto/encode.h"
#include "crypto/random.h"
#include "json/value.h"
#include "json/yaml.h"

namespace llmd::apiserver {

namespace {

Result<void> check_options(const Options& options) {
  if (options.bearer_token.size() < 16) {
    return invalid_argument("the API server's bearer token must have at least 16 characters");
  }
  if (options.certificate.empty() != options.key.empty()) {
    return invalid_argument("the API server needs both a certificate and its key, or neither");
  }
  if (!options.address.is_loopback() && (!options.allow_remote || options.certificate.empty())) {
    return permission_denied("the API server listens on loopback only, got {}", options.address.to_string())
        .hint("other addresses need TLS and an explicit permission");
  }
  return {};
}

class Server final : public ApiServer {
 public:
  Server(async::EventLoop& loop, Options options, std::unique_ptr<Registry> registry,
         http::ServerOptions http_options)
      : options_(std::move(options)),
        registry_(std::move(registry)),
        executor_(loop.executor()),
        service_{loop, *registry_, *options_.clock, {}},
        http_(loop, std::move(http_options), [this](http::Exchange& exchange) { return serve(exchange); }) {}

  Result<net::Address> listen() override { return http_.listen(options_.address); }

  Task<void> run() override {
    const std::function<Task<void>(async::Scope&)> body = [this](async::Scope& scope) -> Task<void> {
      scope.spawn("apiserver store", registry_->run());
      for (const char* name : {"default", "kube-system"}) {
        co_await ensure_namespace(name);
      }
      co_await http_.run();
    };
    co_await async::with_scope(executor_, body);
  }

 private:
  Task<void> serve(http::Exchange& exchange) {
    const std::string_view path = exchange.request().path();
    const bool open = path == "/healthz" || path == "/livez" || path == "/readyz" || path == "/version";
    const std::string_view header = exchange.request().headers.find("Authorization").value_or("");
    const bool bearer = header.starts_with("Bearer ");
    if (!open && !(bearer && crypto::equal_in_constant_time(header.substr(7), options_.bearer_token))) {
      co_await send_failure(exchange, unauthorized());
      co_return;
    }
    co_await dispatch(service_, exchange);
  }

  Task<void> ensure_namespace(std::string name) {
    const Kind& kind = kind_of(kube::kNamespaces);
    if (registry_->head(kind, {"", name})) {
      co_return;
    }
    Request request;
    request.method = "POST";
    request.path.kind = &kind;
    request.manager = "llmd";
    kube::Object object{{"apiVersion", "v1"}, {"kind", "Namespace"}};
    object["metadata"].emplace_object()["name"] = name;
    auto prepared = prepare_create(service_, request, std::move(object), false);
    LLMD_ASSERT(prepared.has_value(), "the built-in namespaces are valid");
    const auto stored = co_await store(service_, request, {"", name}, std::move(*prepared), 201);
    if (!stored) {
      log::error("cannot make a namespace", {{"namespace", name}, {"error", stored.error().message}});
    }
  }

  const Options options_;
  const std::unique_ptr<Registry> registry_;
  const Executor executor_;
  Service service_;
  http::Server http_;
};

}  // namespace

Result<std::unique_ptr<ApiServer>> ApiServer::create(async::EventLoop& loop, Options options) {
  LLMD_TRY_VOID(check_options(options));
  http::ServerOptions http_options;
  http_options.error_content_type = "application/json";
  http_options.error_body = [](int status, std::string_view message) {
    return json::write(boost::json::value(Failure{status, "", std::string(message), {}}.status()));
  };
  if (!options.certificate.empty()) {
    LLMD_TRY(http_options.tls, net::TlsServer::from_files(options.certificate, options.key));
  }
  std::error_code failed;
  std::filesystem::create_directories(options.data_directory, failed);
  if (failed) {
    return system_error(failed.value(), "create " + options.data_directory.string());
  }
  std::filesystem::permissions(options.data_directory, std::filesystem::perms::owner_all, failed);
  LLMD_TRY(auto registry, Registry::open(loop, options.data_directory / "apiserver.db"));
  return std::make_unique<Server>(loop, std::move(options), std::move(registry), std::move(http_options));
}

Result<void> write_kubeconfig(const std::filesystem::path& path, const net::Address& address,
                              const std::string& ca_pem, const std::string& token) {
  using boost::json::array;
  using boost::json::object;
  object cluster{{"server", fmt::format("{}://{}", ca_pem.empty() ? "http" : "https", address.to_string())}};
  if (!ca_pem.empty()) {
    cluster["certificate-authority-data"] = crypto::to_base64(ca_pem);
  }
  object config{{"apiVersion", "v1"}, {"kind", "Config"}, {"current-context", "llmd"}};
  config["clusters"] = array{object{{"name", "llmd"}, {"cluster", std::move(cluster)}}};
  config["users"] = array{object{{"name", "llmd"}, {"user", {{"token", token}}}}};
  config["contexts"] = array{object{{"name", "llmd"}, {"context", {{"cluster", "llmd"}, {"user", "llmd"}}}}};
  return write_file_atomically(path, json::write_yaml(boost::json::value(std::move(config))), 0600);
}

}  // namespace llmd::apiserver
