// What a program that relays bodies does with memory it has freed. Private to cli.
#pragma once

namespace llmd::cli {

// Bodies come and go: handing their pages back to the kernel after each costs more than all work on them, so
// up to `most_idle_bytes` of freed memory stay with the process. Before other threads begin.
void keep_freed_memory(int most_idle_bytes);

}  // namespace llmd::cli
