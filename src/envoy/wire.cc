#include "envoy/wire.h"

#include <bit>
#include <cstring>

namespace llmd::envoy {

bool WireReader::varint(std::uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (rest_.empty()) {
      return false;
    }
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) {
      return true;
    }
  }
  return false;
}

bool WireReader::fixed(std::size_t size) {
  if (rest_.size() < size) {
    return false;
  }
  number_ = 0;
  std::memcpy(&number_, rest_.data(), size);  // little-endian, like every machine this runs on
  rest_.remove_prefix(size);
  return true;
}

bool WireReader::next() {
  if (rest_.empty() || malformed_) {
    return false;
  }
  std::uint64_t key = 0;
  if (!varint(key) || key >> 3 == 0 || key >> 3 > 0x1fffffff) {
    return fail();
  }
  field_ = static_cast<std::uint32_t>(key >> 3);
  type_ = static_cast<WireType>(key & 7);
  number_ = 0;
  bytes_ = {};
  switch (type_) {
    case WireType::Varint:
      return varint(number_) || fail();
    case WireType::Fixed64:
      return fixed(8) || fail();
    case WireType::Fixed32:
      return fixed(4) || fail();
    case WireType::Bytes: {
      std::uint64_t size = 0;
      if (!varint(size) || size > rest_.size()) {
        return fail();
      }
      bytes_ = rest_.substr(0, size);
      rest_.remove_prefix(size);
      return true;
    }
  }
  return fail();  // groups: not in proto3
}

std::size_t varint_size(std::uint64_t value) {
  return static_cast<std::size_t>((std::bit_width(value | 1) + 6) / 7);
}

void append_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  out += static_cast<char>(value);
}

void WireWriter::number(std::uint32_t field, std::uint64_t value) {
  append_varint(out_, std::uint64_t{field} << 3);
  append_varint(out_, value);
}

void WireWriter::bytes(std::uint32_t field, std::string_view value) {
  append_varint(out_, std::uint64_t{field} << 3 | 2);
  append_varint(out_, value.size());
  out_ += value;
}

void WireWriter::fixed64(std::uint32_t field, double value) {
  append_varint(out_, std::uint64_t{field} << 3 | 1);
  const auto bits = std::bit_cast<std::uint64_t>(value);
  out_.append(reinterpret_cast<const char*>(&bits), sizeof(bits));
}

std::size_t WireWriter::begin(std::uint32_t field) {
  append_varint(out_, std::uint64_t{field} << 3 | 2);
  return out_.size();
}

// Most messages are short: the length is put in front when it is known, and the content moves by a byte or
// two.
void WireWriter::end(std::size_t start) {
  std::string length;
  append_varint(length, out_.size() - start);
  out_.insert(start, length);
}

}  // namespace llmd::envoy
