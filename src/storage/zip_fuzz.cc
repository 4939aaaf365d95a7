// Damaged archives end in an error, never in a read outside of them; members are never longer than announced.
#include <cstdint>
#include <cstdlib>

#include "base/assert.h"
#include "storage/zip.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace llmd;
  const std::span<const std::byte> archive(reinterpret_cast<const std::byte*>(data), size);
  const auto entries = storage::read_zip_directory(archive);
  if (!entries) {
    return 0;
  }
  std::size_t budget = std::size_t{16} << 20;
  for (const auto& entry : *entries) {
    std::uint64_t total = 0;
    const auto done = storage::extract_zip_entry(archive, entry, [&](std::string_view bytes) -> Result<void> {
      total += bytes.size();
      if (bytes.size() > budget) {
        return std::unexpected(cancelled("enough"));
      }
      budget -= bytes.size();
      return {};
    });
    LLMD_ASSERT(!done || total == entry.size, "a member has the size of the directory");
  }
  return 0;
}
