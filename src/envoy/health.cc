#include "envoy/health.h"

#include "envoy/wire.h"

namespace llmd::envoy {
namespace {

using Check = std::function<Health(std::string_view)>;

void write_status(WireWriter& out, Health health) {
  out.number(1, static_cast<std::uint64_t>(health));
}

class CheckCall final : public http::GrpcHandler {
 public:
  CheckCall(http::GrpcCall& call, Check check) : call_(call), check_(std::move(check)) {}

  void on_message(std::string_view message) override {
    std::string_view service;
    for (WireReader in(message); in.next();) {
      service = in.field() == 1 ? in.bytes() : service;
    }
    std::string answer;
    WireWriter writer(answer);
    write_status(writer, check_(service));
    call_.send(answer);
    call_.finish({});
  }
  void on_half_close() override { call_.finish({http::GrpcCode::InvalidArgument, "no request"}); }

 private:
  http::GrpcCall& call_;
  Check check_;
};

class ListCall final : public http::GrpcHandler {
 public:
  ListCall(http::GrpcCall& call, Check check, std::vector<std::string> services)
      : call_(call), check_(std::move(check)), services_(std::move(services)) {}

  void on_message(std::string_view) override {
    std::string answer;
    WireWriter writer(answer);
    for (const std::string& service : services_) {
      writer.message(1, [&](WireWriter& entry) {
        entry.bytes(1, service);
        entry.message(2, [&](WireWriter& value) { write_status(value, check_(service)); });
      });
    }
    call_.send(answer);
    call_.finish({});
  }
  void on_half_close() override { call_.finish({http::GrpcCode::InvalidArgument, "no request"}); }

 private:
  http::GrpcCall& call_;
  Check check_;
  std::vector<std::string> services_;
};

class WatchCall final : public http::GrpcHandler {
 public:
  explicit WatchCall(http::GrpcCall& call) : call_(call) {}
  void on_message(std::string_view) override {
    call_.finish({http::GrpcCode::Unimplemented, "Watch is not implemented; use Check"});
  }
  void on_half_close() override {}

 private:
  http::GrpcCall& call_;
};

}  // namespace

void add_health_service(http::GrpcServer& server, Check check, std::vector<std::string> services) {
  server.add("/grpc.health.v1.Health/Check",
             [check](http::GrpcCall& call) { return std::make_unique<CheckCall>(call, check); });
  server.add("/grpc.health.v1.Health/List", [check, services](http::GrpcCall& call) {
    return std::make_unique<ListCall>(call, check, services);
  });
  server.add("/grpc.health.v1.Health/Watch",
             [](http::GrpcCall& call) { return std::make_unique<WatchCall>(call); });
}

}  // namespace llmd::envoy
