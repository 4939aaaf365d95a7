#include "train_tiny/safetensors.h"

#include <cstdint>
#include <cstring>
#include <string>

#include "base/file.h"

namespace llmd::train_tiny {
namespace {

// Length and JSON header; the same weights always give the same bytes, which is how the reader recognises its
// files.
std::string header_of(const std::vector<Weight>& weights) {
  std::string json = R"({"__metadata__":{"format":"pt"})";
  std::size_t begin = 0;
  for (const Weight& weight : weights) {
    const std::size_t end = begin + weight.size() * sizeof(std::uint16_t);
    const std::string shape = weight.rows == 1 ? fmt::format("[{}]", weight.columns)
                                               : fmt::format("[{},{}]", weight.rows, weight.columns);
    json += fmt::format(R"(,"{}":{{"dtype":"BF16","shape":{},"data_offsets":[{},{}]}})", weight.name, shape,
                        begin, end);
    begin = end;
  }
  json += '}';
  json.append((8 - json.size() % 8) % 8, ' ');
  const std::uint64_t length = json.size();
  std::string bytes(sizeof(length), '\0');
  std::memcpy(bytes.data(), &length, sizeof(length));
  return bytes + json;
}

std::size_t value_count(const std::vector<Weight>& weights) {
  std::size_t count = 0;
  for (const Weight& weight : weights) {
    count += weight.size();
  }
  return count;
}

}  // namespace

Result<void> write_safetensors(const std::filesystem::path& path, const std::vector<Weight>& weights,
                               std::span<const float> values) {
  std::string bytes = header_of(weights);
  for (const Weight& weight : weights) {
    for (const float value : values.subspan(weight.offset, weight.size())) {
      const std::uint16_t bits = to_bf16(value);
      bytes.append(reinterpret_cast<const char*>(&bits), sizeof(bits));
    }
  }
  return write_file_atomically(path, bytes);
}

Result<std::vector<float>> read_safetensors(const std::filesystem::path& path,
                                            const std::vector<Weight>& weights) {
  LLMD_TRY(const std::string bytes, read_file(path));
  const std::string header = header_of(weights);
  std::vector<float> values(value_count(weights));
  if (!bytes.starts_with(header) || bytes.size() != header.size() + values.size() * sizeof(std::uint16_t)) {
    return data_loss("{}: not a file of this tool and shape", path.string());
  }
  const char* from = bytes.data() + header.size();
  for (const Weight& weight : weights) {
    for (std::size_t i = 0; i < weight.size(); ++i, from += sizeof(std::uint16_t)) {
      std::uint16_t bits = 0;
      std::memcpy(&bits, from, sizeof(bits));
      values[weight.offset + i] = from_bf16(bits);
    }
  }
  return values;
}

}  // namespace llmd::train_tiny
