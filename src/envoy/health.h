// grpc.health.v1, served: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "http/grpc_server.h"

namespace llmd::envoy {

enum class Health { Unknown = 0, Serving = 1, NotServing = 2, ServiceUnknown = 3 };

// Adds Check, List and Watch (Unimplemented). `check` is asked for one service; `services` are those of List.
void add_health_service(http::GrpcServer& server, std::function<Health(std::string_view service)> check,
                        std::vector<std::string> services);

}  // namespace llmd::envoy
