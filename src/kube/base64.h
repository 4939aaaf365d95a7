// Standard base64 with padding, as Secrets and kubeconfig files carry it.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace llmd::kube {

std::string base64_encode(std::string_view bytes);
// Line breaks are skipped; anything else outside the alphabet is InvalidArgument.
Result<std::string> base64_decode(std::string_view text);

}  // namespace llmd::kube
