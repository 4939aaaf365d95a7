// Hashes units of prompt text: of a long prompt every byte goes through here, which makes it a good part of
// what routing costs. Private to kvcache.
//
// Where the processor has AES instructions, seven rounds of it over the 64 bytes, elsewhere XXH3. The values
// stay within one process, whose prompts are all hashed in the same way: nobody compares them with others'.
#pragma once

#include <cstddef>
#include <cstdint>

namespace llmd::kvcache {

// out[i] = the hash of the i-th unit; `bytes` holds `count` whole units.
using UnitHash = void (*)(const char* bytes, std::size_t count, std::uint64_t* out);

// The fastest one that this processor has.
UnitHash unit_hash();

// For tests: what unit_hash() may return, here and on other processors.
UnitHash portable_unit_hash();

}  // namespace llmd::kvcache
