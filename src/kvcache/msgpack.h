// MessagePack, as much as KV events need: a pull reader over hostile bytes and a writer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace llmd::kvcache {

// Reads one item after the other; containers are items with a count, followed by their members. Never reads
// past the end, never recurses (skip() keeps a counter), allocates nothing. After a failure every read fails.
class MsgpackReader {
 public:
  enum class Kind { Nil, Bool, Integer, Float, Text, Binary, Array, Map, Extension };
  struct Item {
    Kind kind = Kind::Nil;
    bool flag = false;
    bool negative = false;
    std::uint64_t integer = 0;  // two's complement where negative
    double number = 0;
    std::string_view bytes;   // of Text, Binary, Extension: a view into the input
    std::uint32_t count = 0;  // members of an Array, pairs of a Map; never more than bytes are left
  };

  explicit MsgpackReader(std::string_view bytes) : rest_(bytes) {}

  bool read(Item& item);
  // Passes over one whole value, at most kMaxDepth containers deep, and gives its bytes.
  bool skip(std::string_view& value);
  bool skip() {
    std::string_view value;
    return skip(value);
  }
  // Looks at the next item without taking it.
  bool next_is(Kind kind) const;
  bool failed() const { return failed_; }
  std::string_view rest() const { return rest_; }

  static constexpr std::size_t kMaxDepth = 32;

 private:
  bool fail();
  bool take(std::size_t size, std::string_view& bytes);
  bool big_endian(std::size_t size, std::uint64_t& value);
  bool sized(std::size_t size_bytes, Item& item);
  bool counted(std::size_t size_bytes, Item& item);
  bool scalar(unsigned tag, Item& item);
  bool integer_of(std::size_t size, bool is_signed, Item& item);

  std::string_view rest_;
  bool failed_ = false;
};

// Always the shortest form.
class MsgpackWriter {
 public:
  void nil() { put(0xc0); }
  void boolean(bool value) { put(value ? 0xc3 : 0xc2); }
  void integer(std::uint64_t value);
  void negative(std::int64_t value);  // for values below 0
  void number(double value);
  void text(std::string_view value);
  void binary(std::string_view value);
  void array(std::size_t count);
  void map(std::size_t count);
  std::string take() { return std::move(bytes_); }

 private:
  void put(unsigned byte) { bytes_.push_back(static_cast<char>(byte)); }
  void big_endian(std::uint64_t value, int bytes);

  std::string bytes_;
};

}  // namespace llmd::kvcache
