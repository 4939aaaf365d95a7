// What a prefix check knows about an endpoint, for /debug. Private to picker.
#pragma once

#include "json/value.h"
#include "kvcache/prefix_check.h"

namespace llmd::picker {

json::Value check_state(const kvcache::PrefixCheck::Stats& stats);

}  // namespace llmd::picker
