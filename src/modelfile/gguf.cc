#include "modelfile/gguf.h"

#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <utility>

namespace llmd::modelfile {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is little-endian and read in place");

// The value types of the format, by their number in the file.
enum class ValueType : std::uint32_t { U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64 };

constexpr std::uint64_t kMaxDimensions = 4;
constexpr std::uint64_t kMaxAlignment = std::uint64_t{1} << 20;
// The smallest a metadata entry (length, type, one byte) and a tensor entry (length, dimensions, type,
// offset) can be: with them the counts in the header are bounded by the bytes that follow.
constexpr std::uint64_t kSmallestEntry = 8 + 4 + 1;
constexpr std::uint64_t kSmallestTensor = 8 + 4 + 4 + 8;

std::optional<TensorType> tensor_type(std::uint32_t number) {
  switch (number) {
    case 0:
      return TensorType::F32;
    case 1:
      return TensorType::F16;
    case 2:
      return TensorType::Q4_0;
    case 3:
      return TensorType::Q4_1;
    case 6:
      return TensorType::Q5_0;
    case 7:
      return TensorType::Q5_1;
    case 8:
      return TensorType::Q8_0;
    case 12:
      return TensorType::Q4_K;
    case 13:
      return TensorType::Q5_K;
    case 14:
      return TensorType::Q6_K;
    case 30:
      return TensorType::BF16;
    default:
      return std::nullopt;
  }
}

// Takes values from the front of the bytes; every take is checked.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::uint64_t position() const { return position_; }
  std::uint64_t remaining() const { return bytes_.size() - position_; }

  template <typename T>
  Result<T> take() {
    if (remaining() < sizeof(T)) {
      return data_loss("the file ends at byte {} in the middle of a value", bytes_.size());
    }
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  Result<std::string_view> take_string() {
    LLMD_TRY(const auto length, take<std::uint64_t>());
    if (length > remaining()) {
      return data_loss("a string of {} bytes at byte {} reaches beyond the end", length, position_);
    }
    const std::string_view text{reinterpret_cast<const char*>(bytes_.data() + position_), length};
    position_ += length;
    return text;
  }

 private:
  std::span<const std::byte> bytes_;
  std::uint64_t position_ = 0;
};

template <typename Wide, typename Stored>
Result<Wide> take_as(Cursor& cursor) {
  LLMD_TRY(const Stored value, cursor.take<Stored>());
  if constexpr (std::is_same_v<Stored, std::uint64_t>) {
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return data_loss("integer {} is too large", value);
    }
  }
  return static_cast<Wide>(value);
}

template <typename Wide, typename Stored>
Result<GgufValue> take_array_as(Cursor& cursor, std::uint64_t count) {
  if (count > cursor.remaining() / sizeof(Stored)) {
    return data_loss("an array of {} elements reaches beyond the end", count);
  }
  std::vector<Wide> values;
  values.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    LLMD_TRY(const Wide value, take_as<Wide, Stored>(cursor));
    values.push_back(value);
  }
  return values;
}

Result<GgufValue> take_strings(Cursor& cursor, std::uint64_t count) {
  if (count > cursor.remaining() / sizeof(std::uint64_t)) {
    return data_loss("an array of {} strings reaches beyond the end", count);
  }
  std::vector<std::string_view> values;
  values.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    LLMD_TRY(const auto text, cursor.take_string());
    values.push_back(text);
  }
  return values;
}

Result<GgufValue> take_array(Cursor& cursor) {
  LLMD_TRY(const auto type, cursor.take<std::uint32_t>());
  LLMD_TRY(const auto count, cursor.take<std::uint64_t>());
  switch (static_cast<ValueType>(type)) {
    case ValueType::U8:
    case ValueType::Bool:
      return take_array_as<std::int64_t, std::uint8_t>(cursor, count);
    case ValueType::I8:
      return take_array_as<std::int64_t, std::int8_t>(cursor, count);
    case ValueType::U16:
      return take_array_as<std::int64_t, std::uint16_t>(cursor, count);
    case ValueType::I16:
      return take_array_as<std::int64_t, std::int16_t>(cursor, count);
    case ValueType::U32:
      return take_array_as<std::int64_t, std::uint32_t>(cursor, count);
    case ValueType::I32:
      return take_array_as<std::int64_t, std::int32_t>(cursor, count);
    case ValueType::U64:
      return take_array_as<std::int64_t, std::uint64_t>(cursor, count);
    case ValueType::I64:
      return take_array_as<std::int64_t, std::int64_t>(cursor, count);
    case ValueType::F32:
      return take_array_as<double, float>(cursor, count);
    case ValueType::F64:
      return take_array_as<double, double>(cursor, count);
    case ValueType::String:
      return take_strings(cursor, count);
    case ValueType::Array:
      return unimplemented("arrays of arrays are not supported");
  }
  return data_loss("unknown element type {}", type);
}

template <typename Wide, typename Stored>
Result<GgufValue> take_scalar(Cursor& cursor) {
  LLMD_TRY(const Wide value, take_as<Wide, Stored>(cursor));
  return GgufValue(value);
}

Result<GgufValue> take_value(Cursor& cursor) {
  LLMD_TRY(const auto type, cursor.take<std::uint32_t>());
  switch (static_cast<ValueType>(type)) {
    case ValueType::U8:
      return take_scalar<std::int64_t, std::uint8_t>(cursor);
    case ValueType::I8:
      return take_scalar<std::int64_t, std::int8_t>(cursor);
    case ValueType::U16:
      return take_scalar<std::int64_t, std::uint16_t>(cursor);
    case ValueType::I16:
      return take_scalar<std::int64_t, std::int16_t>(cursor);
    case ValueType::U32:
      return take_scalar<std::int64_t, std::uint32_t>(cursor);
    case ValueType::I32:
      return take_scalar<std::int64_t, std::int32_t>(cursor);
    case ValueType::U64:
      return take_scalar<std::int64_t, std::uint64_t>(cursor);
    case ValueType::I64:
      return take_scalar<std::int64_t, std::int64_t>(cursor);
    case ValueType::F32:
      return take_scalar<double, float>(cursor);
    case ValueType::F64:
      return take_scalar<double, double>(cursor);
    case ValueType::Bool:
      return take_scalar<bool, std::uint8_t>(cursor);
    case ValueType::Array:
      return take_array(cursor);
    case ValueType::String: {
      LLMD_TRY(const auto text, cursor.take_string());
      return GgufValue(text);
    }
  }
  return data_loss("unknown value type {}", type);
}

// A tensor's entry in the directory; the data starts `offset` bytes into the data section.
struct TensorEntry {
  std::string_view name;
  TensorView view;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

Result<TensorEntry> take_tensor_entry(Cursor& cursor) {
  TensorEntry entry;
  LLMD_TRY(entry.name, cursor.take_string());
  const std::string where = fmt::format("tensor {}", entry.name);
  LLMD_TRY(const auto dimensions, cursor.take<std::uint32_t>());
  if (dimensions == 0 || dimensions > kMaxDimensions) {
    return data_loss("{}: {} dimensions, expected 1 to {}", where, dimensions, kMaxDimensions);
  }
  entry.view.shape.resize(dimensions);
  for (std::uint32_t i = 0; i < dimensions; ++i) {
    // The file writes the fastest dimension first.
    LLMD_TRY(entry.view.shape[dimensions - 1 - i], cursor.take<std::int64_t>());
  }
  LLMD_TRY(const auto number, cursor.take<std::uint32_t>());
  const auto type = tensor_type(number);
  if (!type) {
    return unimplemented("{}: tensor type {} is not supported", where, number)
        .hint("use a file in F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K");
  }
  entry.view.type = *type;
  LLMD_TRY(entry.offset, cursor.take<std::uint64_t>());
  auto size = tensor_bytes(*type, entry.view.shape);
  if (!size) {
    return std::move(size).error().within(where);
  }
  entry.size = *size;
  return entry;
}

Result<std::uint64_t> alignment_of(const GgufFile& file) {
  if (!file.has("general.alignment")) {
    return 32;
  }
  LLMD_TRY(const auto alignment, file.integer("general.alignment"));
  if (alignment < 1 || static_cast<std::uint64_t>(alignment) > kMaxAlignment ||
      !std::has_single_bit(static_cast<std::uint64_t>(alignment))) {
    return data_loss("general.alignment: {} is no power of two up to {}", alignment, kMaxAlignment);
  }
  return static_cast<std::uint64_t>(alignment);
}

}  // namespace

Result<GgufFile> GgufFile::open(const std::filesystem::path& path) {
  LLMD_TRY(auto mapping, MappedFile::open(path));
  LLMD_TRY(auto file, parse(mapping.bytes(), path.string()));
  file.mapping_ = std::move(mapping);
  return file;
}

Result<GgufFile> GgufFile::parse(std::span<const std::byte> bytes, std::string name) {
  GgufFile file;
  file.name_ = std::move(name);
  if (auto done = file.read(bytes); !done) {
    return std::move(done).error().within(file.name_);
  }
  return file;
}

Result<void> GgufFile::read(std::span<const std::byte> bytes) {
  Cursor cursor(bytes);
  LLMD_TRY(const auto magic, cursor.take<std::array<char, 4>>());
  if (std::string_view(magic.data(), magic.size()) != "GGUF") {
    return data_loss("not a GGUF file: it does not start with the letters GGUF");
  }
  LLMD_TRY(const auto version, cursor.take<std::uint32_t>());
  if (version != 2 && version != 3) {
    return unimplemented("GGUF version {} is not supported, only 2 and 3", version);
  }
  LLMD_TRY(const auto tensor_count, cursor.take<std::uint64_t>());
  LLMD_TRY(const auto value_count, cursor.take<std::uint64_t>());
  if (value_count > cursor.remaining() / kSmallestEntry ||
      tensor_count > cursor.remaining() / kSmallestTensor) {
    return data_loss("the header promises {} values and {} tensors, more than fit into the file", value_count,
                     tensor_count);
  }
  for (std::uint64_t i = 0; i < value_count; ++i) {
    LLMD_TRY(const auto key, cursor.take_string());
    auto value = take_value(cursor);
    if (!value) {
      return std::move(value).error().within(key);
    }
    if (!values_.emplace(key, *std::move(value)).second) {
      return data_loss("{}: the key occurs twice", key);
    }
  }
  std::vector<TensorEntry> entries;
  entries.reserve(tensor_count);
  for (std::uint64_t i = 0; i < tensor_count; ++i) {
    LLMD_TRY(auto entry, take_tensor_entry(cursor));
    entries.push_back(std::move(entry));
  }
  LLMD_TRY(const auto alignment, alignment_of(*this));
  // Written so that nothing overflows: the data section may start past the end when there are no tensors.
  const std::uint64_t start = (cursor.position() + alignment - 1) / alignment * alignment;
  const std::uint64_t available = start > bytes.size() ? 0 : bytes.size() - start;
  for (TensorEntry& entry : entries) {
    if (entry.offset % alignment != 0 || entry.offset > available || entry.size > available - entry.offset) {
      return data_loss("tensor {}: {} bytes at offset {} do not lie in the file", entry.name, entry.size,
                       entry.offset)
          .hint("the file may be cut short; download it again");
    }
    entry.view.bytes = bytes.subspan(entry.size == 0 ? 0 : start + entry.offset, entry.size);
    if (!tensors_.emplace(entry.name, std::move(entry.view)).second) {
      return data_loss("tensor {}: the name occurs twice", entry.name);
    }
  }
  return {};
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

const TensorView* GgufFile::tensor(std::string_view tensor_name) const {
  const auto found = tensors_.find(tensor_name);
  return found == tensors_.end() ? nullptr : &found->second;
}

template <typename T>
Result<const T*> GgufFile::typed(std::string_view key, std::string_view wanted) const {
  const GgufValue* value = find(key);
  if (value == nullptr) {
    return not_found("{}: the file has no key {}", name_, key);
  }
  const T* held = std::get_if<T>(value);
  if (held == nullptr) {
    return data_loss("{}: {}: expected {}", name_, key, wanted);
  }
  return held;
}

Result<std::string_view> GgufFile::string(std::string_view key) const {
  LLMD_TRY(const auto* value, typed<std::string_view>(key, "a string"));
  return *value;
}

Result<std::int64_t> GgufFile::integer(std::string_view key) const {
  LLMD_TRY(const auto* value, typed<std::int64_t>(key, "an integer"));
  return *value;
}

Result<double> GgufFile::number(std::string_view key) const {
  if (const GgufValue* value = find(key); value != nullptr && std::holds_alternative<std::int64_t>(*value)) {
    return static_cast<double>(std::get<std::int64_t>(*value));
  }
  LLMD_TRY(const auto* value, typed<double>(key, "a number"));
  return *value;
}

Result<bool> GgufFile::boolean(std::string_view key) const {
  LLMD_TRY(const auto* value, typed<bool>(key, "a boolean"));
  return *value;
}

Result<std::span<const std::string_view>> GgufFile::strings(std::string_view key) const {
  LLMD_TRY(const auto* value, typed<std::vector<std::string_view>>(key, "an array of strings"));
  return std::span<const std::string_view>(*value);
}

Result<std::span<const std::int64_t>> GgufFile::integers(std::string_view key) const {
  LLMD_TRY(const auto* value, typed<std::vector<std::int64_t>>(key, "an array of integers"));
  return std::span<const std::int64_t>(*value);
}

Result<std::span<const double>> GgufFile::numbers(std::string_view key) const {
  LLMD_TRY(const auto* value, typed<std::vector<double>>(key, "an array of numbers"));
  return std::span<const double>(*value);
}

}  // namespace llmd::modelfile
