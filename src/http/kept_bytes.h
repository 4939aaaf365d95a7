// Bytes that are sent, and who keeps them.
#pragma once

#include <memory>
#include <string_view>

namespace llmd::http {

// With an owner the bytes stay where they are until they have left for the network: they must not change, and
// live as long as the owner does. Without one they are copied.
struct KeptBytes {
  std::string_view bytes;
  std::shared_ptr<const void> owner = nullptr;
};

}  // namespace llmd::http
