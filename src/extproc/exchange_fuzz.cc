// An exchange with any series of messages: never crashes, never answers after it has ended, leaves no lease
// and holds no byte. Input: messages, each after one byte of length; a length of zero is a half-close.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "extproc/exchange.h"
#include "extproc/fake_call.h"

namespace {

struct World {
  World() {
    picker.update(
        {{.address = {"10.0.0.1", 8000}, .name = "a"}, {.address = {"10.0.0.2", 8000}, .name = "b"}});
  }
  llmd::async::EventLoop loop;
  llmd::picker::Picker picker;
  llmd::metrics::Registry registry;
  llmd::extproc::ServiceMetrics metrics{registry};
  llmd::extproc::Service::Shared shared{picker, metrics, {.max_body_bytes = 4096}};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static World world;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  {
    llmd::extproc::FakeCall call(world.loop);
    const auto exchange = std::make_shared<llmd::extproc::Exchange>(world.shared, call);
    while (!rest.empty()) {
      const std::size_t length = static_cast<unsigned char>(rest.front());
      rest.remove_prefix(1);
      const std::size_t before = call.sent.size();
      const bool ended = call.ended.has_value();
      if (length == 0) {
        exchange->half_closed();
      } else {
        exchange->message(rest.substr(0, length));
        rest.remove_prefix(std::min(length, rest.size()));
        exchange->sending();
      }
      if (ended && call.sent.size() > before) {
        std::abort();
      }
    }
    exchange->closed();
  }
  if (world.picker.endpoints()->running() != 0 || world.shared.held != 0) {
    std::abort();
  }
  return 0;
}
