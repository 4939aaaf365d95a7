// A server's HTTP/2 session with a handler that echoes, fed with anything: it never crashes, never sends
// without end, and every stream it began is told that it is over.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "http/http2_session.h"

namespace {

using namespace llmd::http;

class Echo final : public StreamHandler {
 public:
  Echo(Http2Stream& stream, int& open) : stream_(stream), open_(open) { ++open_; }
  void on_data(std::string_view bytes) override {
    begin();
    stream_.send(bytes);
    stream_.consumed(bytes.size());
  }
  void on_end() override {
    begin();
    stream_.end({{"x-trailer", "1"}});
  }
  void on_closed(bool) override { --open_; }

 private:
  void begin() {
    if (!began_) {
      began_ = true;
      stream_.respond({200, {{"content-type", "text/plain"}}}, false);
    }
  }
  Http2Stream& stream_;
  int& open_;
  bool began_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes =
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string(reinterpret_cast<const char*>(data), size);
  const std::size_t step = size == 0 ? 1 : 1 + data[size - 1];
  int open = 0;
  {
    Http2Session session(Http2Session::Side::Server, {.max_streams = 8},
                         [&open](Http2Stream& stream) { return std::make_shared<Echo>(stream, open); });
    Http2Batch out;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      const bool good = session.feed(std::string_view(bytes).substr(at, step)).has_value();
      session.collect(out, 1 << 20);
      out.clear();
      if (!good || session.finished()) {
        break;
      }
    }
  }
  if (open != 0) {
    std::abort();
  }
  return 0;
}
