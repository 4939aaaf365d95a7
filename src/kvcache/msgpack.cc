#include "kvcache/msgpack.h"

#include <array>
#include <bit>

namespace llmd::kvcache {

bool MsgpackReader::fail() {
  failed_ = true;
  rest_ = {};
  return false;
}

bool MsgpackReader::take(std::size_t size, std::string_view& bytes) {
  if (failed_ || size > rest_.size()) {
    return fail();
  }
  bytes = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return true;
}

bool MsgpackReader::big_endian(std::size_t size, std::uint64_t& value) {
  std::string_view bytes;
  if (!take(size, bytes)) {
    return false;
  }
  value = 0;
  for (const char c : bytes) {
    value = value << 8 | static_cast<unsigned char>(c);
  }
  return true;
}

bool MsgpackReader::sized(std::size_t size_bytes, Item& item) {
  std::uint64_t size = 0;
  return big_endian(size_bytes, size) && take(size, item.bytes);
}

// Every member takes a byte at least: a count beyond that is a lie, and nobody reserves memory for it.
bool MsgpackReader::counted(std::size_t size_bytes, Item& item) {
  std::uint64_t count = item.count;
  if (size_bytes > 0 && !big_endian(size_bytes, count)) {
    return false;
  }
  const std::uint64_t least = item.kind == Kind::Map ? count * 2 : count;
  if (least > rest_.size()) {
    return fail();
  }
  item.count = static_cast<std::uint32_t>(count);
  return true;
}

bool MsgpackReader::integer_of(std::size_t size, bool is_signed, Item& item) {
  item.kind = Kind::Integer;
  if (!big_endian(size, item.integer)) {
    return false;
  }
  if (is_signed && (item.integer >> (8 * size - 1) & 1) != 0) {
    item.negative = true;
    item.integer |= size == 8 ? 0 : ~std::uint64_t{0} << (8 * size);
  }
  return true;
}

// Tags 0xc0 to 0xdf.
bool MsgpackReader::scalar(unsigned tag, Item& item) {
  std::uint64_t bits = 0;
  switch (tag) {
    case 0xc0:
      item.kind = Kind::Nil;
      return true;
    case 0xc2:
    case 0xc3:
      item.kind = Kind::Bool;
      item.flag = tag == 0xc3;
      return true;
    case 0xc4:
    case 0xc5:
    case 0xc6:
      item.kind = Kind::Binary;
      return sized(std::size_t{1} << (tag - 0xc4), item);
    case 0xc7:
    case 0xc8:
    case 0xc9: {
      item.kind = Kind::Extension;
      std::uint64_t size = 0;
      return big_endian(std::size_t{1} << (tag - 0xc7), size) && take(size + 1, item.bytes);
    }
    case 0xca:
      item.kind = Kind::Float;
      if (!big_endian(4, bits)) {
        return false;
      }
      item.number = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
      return true;
    case 0xcb:
      item.kind = Kind::Float;
      if (!big_endian(8, bits)) {
        return false;
      }
      item.number = std::bit_cast<double>(bits);
      return true;
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
      return integer_of(std::size_t{1} << (tag - 0xcc), false, item);
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
      return integer_of(std::size_t{1} << (tag - 0xd0), true, item);
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
      item.kind = Kind::Extension;
      return take((std::size_t{1} << (tag - 0xd4)) + 1, item.bytes);
    case 0xd9:
    case 0xda:
    case 0xdb:
      item.kind = Kind::Text;
      return sized(std::size_t{1} << (tag - 0xd9), item);
    case 0xdc:
    case 0xdd:
      item.kind = Kind::Array;
      return counted(tag == 0xdc ? 2 : 4, item);
    case 0xde:
    case 0xdf:
      item.kind = Kind::Map;
      return counted(tag == 0xde ? 2 : 4, item);
    default:
      return fail();  // 0xc1 is never used
  }
}

bool MsgpackReader::read(Item& item) {
  std::string_view first;
  if (!take(1, first)) {
    return false;
  }
  const unsigned tag = static_cast<unsigned char>(first[0]);
  item = Item();
  if (tag <= 0x7f) {
    item.kind = Kind::Integer;
    item.integer = tag;
    return true;
  }
  if (tag >= 0xe0) {
    item.kind = Kind::Integer;
    item.negative = true;
    item.integer = ~std::uint64_t{0xff} | tag;
    return true;
  }
  if (tag <= 0x9f) {
    item.kind = tag <= 0x8f ? Kind::Map : Kind::Array;
    item.count = tag & 0x0f;
    return counted(0, item);
  }
  if (tag <= 0xbf) {
    item.kind = Kind::Text;
    return take(tag & 0x1f, item.bytes);
  }
  return scalar(tag, item);
}

bool MsgpackReader::skip(std::string_view& value) {
  const char* const start = rest_.data();
  std::array<std::uint64_t, kMaxDepth> left{};
  std::size_t depth = 0;
  do {
    Item item;
    if (!read(item)) {
      return false;
    }
    std::uint64_t members = item.kind == Kind::Array ? item.count
                            : item.kind == Kind::Map ? item.count * 2ULL
                                                     : 0;
    if (members > 0) {
      if (depth == kMaxDepth) {
        return fail();
      }
      left[depth++] = members;
      continue;
    }
    while (depth > 0 && --left[depth - 1] == 0) {
      --depth;
    }
  } while (depth > 0);
  value = {start, static_cast<std::size_t>(rest_.data() - start)};
  return true;
}

bool MsgpackReader::next_is(Kind kind) const {
  MsgpackReader ahead(rest_);
  Item item;
  return !failed_ && ahead.read(item) && item.kind == kind;
}

void MsgpackWriter::big_endian(std::uint64_t value, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    put(static_cast<unsigned>(value >> shift & 0xff));
  }
}

void MsgpackWriter::integer(std::uint64_t value) {
  if (value <= 0x7f) {
    put(static_cast<unsigned>(value));
  } else if (value <= 0xff) {
    put(0xcc);
    big_endian(value, 1);
  } else if (value <= 0xffff) {
    put(0xcd);
    big_endian(value, 2);
  } else if (value <= 0xffffffff) {
    put(0xce);
    big_endian(value, 4);
  } else {
    put(0xcf);
    big_endian(value, 8);
  }
}

void MsgpackWriter::negative(std::int64_t value) {
  const auto bits = static_cast<std::uint64_t>(value);
  if (value >= -32) {
    big_endian(bits, 1);
  } else if (value >= INT8_MIN) {
    put(0xd0);
    big_endian(bits, 1);
  } else if (value >= INT16_MIN) {
    put(0xd1);
    big_endian(bits, 2);
  } else if (value >= INT32_MIN) {
    put(0xd2);
    big_endian(bits, 4);
  } else {
    put(0xd3);
    big_endian(bits, 8);
  }
}

void MsgpackWriter::number(double value) {
  put(0xcb);
  big_endian(std::bit_cast<std::uint64_t>(value), 8);
}

void MsgpackWriter::text(std::string_view value) {
  if (value.size() < 32) {
    put(0xa0U | static_cast<unsigned>(value.size()));
  } else {
    const int width = value.size() <= 0xff ? 1 : value.size() <= 0xffff ? 2 : 4;
    put(width == 1 ? 0xd9 : width == 2 ? 0xda : 0xdb);
    big_endian(value.size(), width);
  }
  bytes_ += value;
}

void MsgpackWriter::binary(std::string_view value) {
  const int width = value.size() <= 0xff ? 1 : value.size() <= 0xffff ? 2 : 4;
  put(width == 1 ? 0xc4 : width == 2 ? 0xc5 : 0xc6);
  big_endian(value.size(), width);
  bytes_ += value;
}

void MsgpackWriter::array(std::size_t count) {
  if (count < 16) {
    put(0x90U | static_cast<unsigned>(count));
  } else {
    put(count <= 0xffff ? 0xdc : 0xdd);
    big_endian(count, count <= 0xffff ? 2 : 4);
  }
}

void MsgpackWriter::map(std::size_t count) {
  if (count < 16) {
    put(0x80U | static_cast<unsigned>(count));
  } else {
    put(count <= 0xffff ? 0xde : 0xdf);
    big_endian(count, count <= 0xffff ? 2 : 4);
  }
}

}  // namespace llmd::kvcache
