// Protobuf's wire format, as far as the few messages of this library need it
// (https://protobuf.dev/programming-guides/encoding). Reading gives views into what is read; writing appends.
// Why not generated classes: docs/adr. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace llmd::envoy {

enum class WireType : std::uint8_t { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 };

// Walks over the fields of one message. Unknown fields are simply not asked for.
//   for (WireReader in(bytes); in.next();) switch (in.field()) { case 2: use(in.bytes()); }
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}

  bool next();  // false: the end, or malformed
  bool malformed() const { return malformed_; }
  std::uint32_t field() const { return field_; }
  WireType type() const { return type_; }
  std::uint64_t number() const { return number_; }   // of Varint, Fixed64 and Fixed32; else 0
  std::string_view bytes() const { return bytes_; }  // of Bytes; else empty
  bool flag() const { return number_ != 0; }

 private:
  bool varint(std::uint64_t& value);
  bool fixed(std::size_t size);
  bool fail() {
    malformed_ = true;
    return false;
  }

  std::string_view rest_;
  std::uint32_t field_ = 0;
  WireType type_ = WireType::Varint;
  std::uint64_t number_ = 0;
  std::string_view bytes_;
  bool malformed_ = false;
};

class WireWriter {
 public:
  explicit WireWriter(std::string& out) : out_(out) {}

  void number(std::uint32_t field, std::uint64_t value);  // also false and 0: presence matters in oneofs
  void bytes(std::uint32_t field, std::string_view value);
  void fixed64(std::uint32_t field, double value);
  // A nested message, filled by `body`.
  template <typename Body>
  void message(std::uint32_t field, Body body) {
    const std::size_t start = begin(field);
    body(*this);
    end(start);
  }

 private:
  std::size_t begin(std::uint32_t field);
  void end(std::size_t start);

  std::string& out_;
};

std::size_t varint_size(std::uint64_t value);
void append_varint(std::string& out, std::uint64_t value);

}  // namespace llmd::envoy
