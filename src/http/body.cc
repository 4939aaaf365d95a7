#include "http/body.h"

namespace llmd::http {

Task<Result<std::string>> read_all(BodyReader& body, std::size_t limit) {
  std::string collected;
  if (const auto length = body.length()) {
    if (*length > limit) {
      co_return resource_exhausted("body: {} bytes are more than the limit of {}", *length, limit);
    }
    collected.reserve(static_cast<std::size_t>(*length));
  }
  while (true) {
    LLMD_CO_TRY(const std::string_view piece, co_await body.next());
    if (piece.empty()) {
      co_return collected;
    }
    if (collected.size() + piece.size() > limit) {
      co_return resource_exhausted("body: more than the limit of {} bytes", limit);
    }
    collected += piece;
  }
}

}  // namespace llmd::http
