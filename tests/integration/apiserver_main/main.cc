// apiserver_main DATA_DIRECTORY [PORT]: serves until SIGTERM. Writes DATA_DIRECTORY/kubeconfig and prints one
// line with the address when it is ready.
#include <cstdio>
#include <cstdlib>

#include "apiserver/api_server.h"
#include "async/scope.h"
#include "base/file.h"
#include "controllers/controllers.h"
#include "crypto/certificate.h"
#include "process/signals.h"

namespace {

constexpr const char* kToken = "token-of-the-integration-test";

llmd::Task<void> stop_on_signal(llmd::async::EventLoop& loop, llmd::async::Scope& scope) {
  llmd::process::Signals signals(loop, {SIGTERM, SIGINT});
  co_await signals.wait();
  scope.cancel();
}

llmd::Task<llmd::Result<void>> serve(llmd::async::EventLoop& loop, std::filesystem::path folder, int port) {
  using namespace llmd;
  // kubectl sends no token without TLS.
  std::filesystem::create_directories(folder);
  LLMD_CO_TRY(const auto certificate, crypto::make_self_signed_certificate({}, system_clock().wall_now()));
  LLMD_CO_TRY_VOID(write_file_atomically(folder / "server.crt", certificate.certificate_pem));
  LLMD_CO_TRY_VOID(write_file_atomically(folder / "server.key", certificate.key_pem, 0600));
  apiserver::Options options{.data_directory = folder,
                             .address = {"127.0.0.1", static_cast<std::uint16_t>(port)},
                             .certificate = folder / "server.crt",
                             .key = folder / "server.key",
                             .bearer_token = kToken};
  LLMD_CO_TRY(const auto server, apiserver::ApiServer::create(loop, options));
  LLMD_CO_TRY(const auto address, server->listen());
  LLMD_CO_TRY_VOID(
      apiserver::write_kubeconfig(folder / "kubeconfig", address, certificate.certificate_pem, kToken));
  std::printf("serving %s\n", address.to_string().c_str());
  std::fflush(stdout);
  async::Scope scope(loop);
  scope.spawn("apiserver", server->run());
  const kube::ClientConfig config{.server = address,
                                  .ca_pem = certificate.certificate_pem,
                                  .bearer_token = kToken,
                                  .user_agent = "controllers"};
  LLMD_CO_TRY(const auto client, kube::Client::create(loop, config));
  controllers::Controllers controllers(loop, *client);
  scope.spawn("controllers", controllers.run());
  co_await stop_on_signal(loop, scope);
  co_await scope.close();
  co_return Result<void>();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: apiserver_main DATA_DIRECTORY [PORT]\n", stderr);
    return 2;
  }
  llmd::async::EventLoop loop;
  const auto result = loop.block_on(serve(loop, argv[1], argc > 2 ? std::atoi(argv[2]) : 0));
  if (!result) {
    std::fprintf(stderr, "apiserver_main: %s\n", result.error().text().c_str());
    return 1;
  }
  return 0;
}
