#include "cli/freed_memory.h"

#include <malloc.h>

namespace llmd::cli {

void keep_freed_memory(int most_idle_bytes) {
  ::mallopt(M_TRIM_THRESHOLD, most_idle_bytes);
  ::mallopt(M_MMAP_THRESHOLD, 8 << 20);
}

}  // namespace llmd::cli
