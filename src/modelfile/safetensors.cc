#include "modelfile/safetensors.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cstring>
#include <optional>
#include <set>

namespace llmd::modelfile {
namespace {

constexpr std::uint64_t kMaxHeader = 100'000'000;
constexpr std::size_t kMaxIndex = std::size_t{64} << 20;
constexpr std::size_t kMaxDimensions = 8;

struct StoredType {
  std::string_view name;
  int bits;
  std::optional<TensorType> type;
};
constexpr StoredType kTypes[] = {{"F32", 32, TensorType::F32},
                                 {"F16", 16, TensorType::F16},
                                 {"BF16", 16, TensorType::BF16},
                                 {"F64", 64, {}},
                                 {"I64", 64, {}},
                                 {"U64", 64, {}},
                                 {"I32", 32, {}},
                                 {"U32", 32, {}},
                                 {"I16", 16, {}},
                                 {"U16", 16, {}},
                                 {"I8", 8, {}},
                                 {"U8", 8, {}},
                                 {"BOOL", 8, {}},
                                 {"F8_E4M3", 8, {}},
                                 {"F8_E5M2", 8, {}},
                                 {"F8_E8M0", 8, {}}};

// One entry of the header, in file order once sorted.
struct Entry {
  std::string name;
  std::optional<TensorType> type;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

std::optional<std::uint64_t> count_of(const boost::json::value& value) {
  if (const auto* number = value.if_int64(); number != nullptr && *number >= 0) {
    return static_cast<std::uint64_t>(*number);
  }
  return std::nullopt;  // beyond int64 is beyond any file
}

Result<std::vector<std::int64_t>> shape_of(const boost::json::value* value, std::uint64_t& elements) {
  const auto* list = value == nullptr ? nullptr : value->if_array();
  if (list == nullptr || list->size() > kMaxDimensions) {
    return data_loss("shape: expected a list of at most {} numbers", kMaxDimensions);
  }
  std::vector<std::int64_t> shape;
  elements = 1;
  for (const auto& item : *list) {
    const auto extent = count_of(item);
    if (!extent || __builtin_mul_overflow(elements, *extent, &elements)) {
      return data_loss("shape: impossible dimension");
    }
    shape.push_back(static_cast<std::int64_t>(*extent));
  }
  return shape;
}

Result<Entry> entry_of(std::string_view name, const boost::json::value& value) {
  const auto* object = value.if_object();
  if (object == nullptr) {
    return data_loss("expected an object");
  }
  Entry entry;
  entry.name = name;
  const auto* type = object->if_contains("dtype");
  const auto* const stored = std::ranges::find_if(kTypes, [type](const StoredType& candidate) {
    return type != nullptr && type->is_string() && candidate.name == std::string_view(type->get_string());
  });
  if (stored == std::end(kTypes)) {
    return data_loss("dtype: unknown type");
  }
  entry.type = stored->type;
  std::uint64_t elements = 0;
  LLMD_TRY(entry.shape, shape_of(object->if_contains("shape"), elements));
  const auto* offsets = object->if_contains("data_offsets");
  const auto* pair = offsets == nullptr ? nullptr : offsets->if_array();
  if (pair == nullptr || pair->size() != 2) {
    return data_loss("data_offsets: expected two numbers");
  }
  const auto begin = count_of(pair->at(0));
  const auto end = count_of(pair->at(1));
  std::uint64_t bits = 0;
  if (!begin || !end || *end < *begin ||
      __builtin_mul_overflow(elements, static_cast<std::uint64_t>(stored->bits), &bits) ||
      *end - *begin != bits / 8) {
    return data_loss("data_offsets: do not fit the shape and type");
  }
  entry.begin = *begin;
  entry.end = *end;
  return entry;
}

Result<boost::json::value> parse_object(std::string_view text) {
  boost::system::error_code error;
  auto value = boost::json::parse(text, error);
  if (error) {
    return data_loss("not JSON: {}", error.message());
  }
  if (!value.is_object()) {
    return data_loss("expected a JSON object");
  }
  return value;
}

}  // namespace

Result<TensorMap> parse_safetensors(std::span<const std::byte> bytes) {
  std::uint64_t header_size = 0;
  if (bytes.size() < sizeof header_size) {
    return data_loss("too short for a safetensors file");
  }
  std::memcpy(&header_size, bytes.data(), sizeof header_size);
  if (header_size > kMaxHeader || header_size > bytes.size() - sizeof header_size) {
    return data_loss("a header of {} bytes does not fit into the file", header_size);
  }
  const auto data = bytes.subspan(sizeof header_size + header_size);
  LLMD_TRY(const auto header, parse_object({reinterpret_cast<const char*>(bytes.data()) + sizeof header_size,
                                            static_cast<std::size_t>(header_size)}));
  std::vector<Entry> entries;
  for (const auto& [key, value] : header.get_object()) {
    if (key == "__metadata__") {
      continue;
    }
    auto entry = entry_of(key, value);
    if (!entry) {
      return std::move(entry).error().within(key);
    }
    entries.push_back(*std::move(entry));
  }
  std::ranges::sort(entries, {}, [](const Entry& entry) { return std::pair(entry.begin, entry.end); });
  std::uint64_t expected = 0;
  TensorMap tensors;
  for (Entry& entry : entries) {
    if (entry.begin != expected || entry.end > data.size()) {
      return data_loss("{}: its bytes {} to {} leave a hole, overlap or end after the file", entry.name,
                       entry.begin, entry.end);
    }
    expected = entry.end;
    if (entry.type) {
      const auto view = data.subspan(entry.begin, entry.end - entry.begin);
      tensors.emplace(std::move(entry.name), TensorView{*entry.type, std::move(entry.shape), view});
    }
  }
  if (expected != data.size()) {
    return data_loss("{} bytes after the last tensor", data.size() - expected);
  }
  return tensors;
}

Result<void> SafetensorsSet::add_file(const std::filesystem::path& path) {
  LLMD_TRY(auto mapping, MappedFile::open(path));
  auto tensors = parse_safetensors(mapping.bytes());
  if (!tensors) {
    return std::unexpected(std::move(tensors).error().within(path.string()));
  }
  for (auto& [name, view] : *tensors) {
    if (!tensors_.emplace(name, std::move(view)).second) {
      return data_loss("{}: tensor {} is in another shard too", path.string(), name);
    }
  }
  mappings_.push_back(std::move(mapping));
  return {};
}

Result<SafetensorsSet> SafetensorsSet::open(const std::filesystem::path& folder, std::string_view stem) {
  SafetensorsSet set;
  const auto index_path = folder / fmt::format("{}.safetensors.index.json", stem);
  std::error_code ignored;
  if (!std::filesystem::exists(index_path, ignored)) {
    LLMD_TRY_VOID(set.add_file(folder / fmt::format("{}.safetensors", stem)));
    return set;
  }
  LLMD_TRY(const auto text, read_file(index_path, kMaxIndex));
  auto index = parse_object(text);
  if (!index) {
    return std::move(index).error().within(index_path.string());
  }
  const auto* map = index->get_object().if_contains("weight_map");
  if (map == nullptr || !map->is_object()) {
    return data_loss("{}: weight_map: expected an object", index_path.string());
  }
  std::set<std::string> files;
  for (const auto& [tensor_name, file] : map->get_object()) {
    // A shard is a file of this folder; anything with a path in it would reach elsewhere.
    if (!file.is_string() || std::filesystem::path(std::string(file.get_string())).has_parent_path()) {
      return data_loss("{}: weight_map.{}: expected a file name", index_path.string(),
                       std::string_view(tensor_name));
    }
    files.emplace(file.get_string());
  }
  for (const std::string& file : files) {
    LLMD_TRY_VOID(set.add_file(folder / file));
  }
  return set;
}

const TensorView* SafetensorsSet::tensor(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

}  // namespace llmd::modelfile
