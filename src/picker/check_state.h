// What a prefix check knows, for /debug and for the page of metrics. Private to picker.
#pragma once

#include "json/value.h"
#include "kvcache/prefix_check.h"

namespace llmd::picker {

class Page;
class Plugin;

json::Value check_state(const kvcache::PrefixCheck::Stats& stats);
// llmd_prefix_*: how often predictions of `plugin` came true, and whom it does not trust.
void write_check(Page& page, const Plugin& plugin, const kvcache::PrefixCheck& check);

}  // namespace llmd::picker
