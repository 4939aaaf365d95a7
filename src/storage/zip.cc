#include "storage/zip.h"

#include <zlib.h>

#include <algorithm>
#include <memory>
#include <optional>

namespace llmd::storage {
namespace {

constexpr std::uint32_t kEndSignature = 0x06054b50;
constexpr std::uint32_t kEnd64Signature = 0x06064b50;
constexpr std::uint32_t kLocator64Signature = 0x07064b50;
constexpr std::uint32_t kCentralSignature = 0x02014b50;
constexpr std::uint32_t kLocalSignature = 0x04034b50;
constexpr std::size_t kEndSize = 22;
constexpr std::size_t kMaxComment = 0xffff;
constexpr std::size_t kMaxEntries = 500'000;
constexpr std::uint16_t kZip64Extra = 1;
constexpr std::uint16_t kEncrypted = 1;

Error broken(std::string_view why) {
  return data_loss("the archive is damaged: {}", why);
}

// Little-endian numbers from a range of bytes; reading past its end makes it invalid for good.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::uint16_t u16() { return static_cast<std::uint16_t>(number(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(number(4)); }
  std::uint64_t u64() { return number(8); }
  std::span<const std::byte> take(std::size_t size) {
    if (size > bytes_.size()) {
      valid_ = false;
      return {};
    }
    const auto taken = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return taken;
  }
  void skip(std::size_t size) { take(size); }
  bool valid() const { return valid_; }
  std::size_t left() const { return bytes_.size(); }

 private:
  std::uint64_t number(std::size_t size) {
    const auto bytes = take(size);
    std::uint64_t value = 0;
    for (std::size_t i = bytes.size(); i > 0; --i) {
      value = value << 8 | std::to_integer<std::uint64_t>(bytes[i - 1]);
    }
    return value;
  }

  std::span<const std::byte> bytes_;
  bool valid_ = true;
};

Cursor cursor_at(std::span<const std::byte> archive, std::uint64_t offset) {
  return Cursor(offset <= archive.size() ? archive.subspan(static_cast<std::size_t>(offset))
                                         : std::span<const std::byte>());
}

struct Directory {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::uint64_t entries = 0;
};

// The end record stands before a comment of unknown length: searched backwards.
std::optional<std::size_t> find_end(std::span<const std::byte> archive) {
  if (archive.size() < kEndSize) {
    return std::nullopt;
  }
  const std::size_t last = archive.size() - kEndSize;
  const std::size_t first = last > kMaxComment ? last - kMaxComment : 0;
  for (std::size_t at = last + 1; at-- > first;) {
    if (cursor_at(archive, at).u32() == kEndSignature) {
      return at;
    }
  }
  return std::nullopt;
}

Result<Directory> find_directory64(std::span<const std::byte> archive, std::size_t end) {
  constexpr std::size_t kLocatorSize = 20;
  if (end < kLocatorSize) {
    return broken("its zip64 locator is missing");
  }
  Cursor locator = cursor_at(archive, end - kLocatorSize);
  if (locator.u32() != kLocator64Signature) {
    return broken("its zip64 locator is missing");
  }
  locator.skip(4);
  Cursor record = cursor_at(archive, locator.u64());
  if (record.u32() != kEnd64Signature) {
    return broken("its zip64 end record is missing");
  }
  record.skip(8 + 2 + 2 + 4 + 4 + 8);  // record size, versions, disks, entries on this disk
  Directory directory;
  directory.entries = record.u64();
  directory.size = record.u64();
  directory.offset = record.u64();
  if (!record.valid()) {
    return broken("its zip64 end record is cut off");
  }
  return directory;
}

Result<Directory> find_directory(std::span<const std::byte> archive) {
  const auto end = find_end(archive);
  if (!end) {
    return data_loss("no zip archive, or cut off");
  }
  Cursor record = cursor_at(archive, *end);
  record.skip(4 + 2 + 2 + 2);  // signature, disks, entries on this disk
  Directory directory;
  directory.entries = record.u16();
  directory.size = record.u32();
  directory.offset = record.u32();
  const bool needs_zip64 =
      directory.entries == 0xffff || directory.size == 0xffffffff || directory.offset == 0xffffffff;
  return needs_zip64 ? find_directory64(archive, *end) : directory;
}

// Sizes of all ones are in the zip64 extra field, in this order and only those.
void read_zip64_extra(Cursor extra, ZipEntry& entry) {
  while (extra.left() >= 4) {
    const std::uint16_t id = extra.u16();
    Cursor field(extra.take(extra.u16()));
    if (id != kZip64Extra) {
      continue;
    }
    for (std::uint64_t* number : {&entry.size, &entry.compressed_size, &entry.header_offset}) {
      if (*number == 0xffffffff && field.left() >= 8) {
        *number = field.u64();
      }
    }
  }
}

Result<ZipEntry> read_entry(Cursor& cursor) {
  if (cursor.u32() != kCentralSignature) {
    return broken("an entry of its directory does not begin where it should");
  }
  ZipEntry entry;
  cursor.skip(2 + 2);  // versions
  entry.flags = cursor.u16();
  entry.method = cursor.u16();
  cursor.skip(2 + 2);  // time, date
  entry.crc32 = cursor.u32();
  entry.compressed_size = cursor.u32();
  entry.size = cursor.u32();
  const std::uint16_t name_size = cursor.u16();
  const std::uint16_t extra_size = cursor.u16();
  const std::uint16_t comment_size = cursor.u16();
  cursor.skip(2 + 2 + 4);  // disk, attributes
  entry.header_offset = cursor.u32();
  const auto name = cursor.take(name_size);
  const auto extra = cursor.take(extra_size);
  cursor.skip(comment_size);
  if (!cursor.valid()) {
    return broken("its directory is cut off");
  }
  entry.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
  read_zip64_extra(Cursor(extra), entry);
  return entry;
}

// The compressed bytes behind the local header, whose name and extra field may differ in length from the
// directory's.
Result<std::span<const std::byte>> content_of(std::span<const std::byte> archive, const ZipEntry& entry) {
  Cursor header = cursor_at(archive, entry.header_offset);
  if (header.u32() != kLocalSignature) {
    return broken(fmt::format("{} is not where the directory says", entry.name));
  }
  header.skip(22);
  const std::uint16_t name_size = header.u16();
  const std::uint16_t extra_size = header.u16();
  header.skip(std::size_t{name_size} + extra_size);
  if (!header.valid() || entry.compressed_size > header.left()) {
    return broken(fmt::format("{} is cut off", entry.name));
  }
  return header.take(static_cast<std::size_t>(entry.compressed_size));
}

// Counts and checks what goes out.
class Checked {
 public:
  Checked(const ZipEntry& entry, const ByteSink& sink) : entry_(entry), sink_(sink) {}

  Result<void> write(std::string_view bytes) {
    written_ += bytes.size();
    if (written_ > entry_.size) {
      return std::unexpected(broken(fmt::format("{} is longer than its directory says", entry_.name)));
    }
    crc_ = crc32_z(crc_, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
    return sink_(bytes);
  }
  Result<void> finish() const {
    if (written_ != entry_.size || crc_ != entry_.crc32) {
      return std::unexpected(broken(fmt::format("{} has the wrong length or checksum", entry_.name)));
    }
    return {};
  }

 private:
  const ZipEntry& entry_;
  const ByteSink& sink_;
  std::uint64_t written_ = 0;
  uLong crc_ = 0;
};

constexpr std::size_t kPiece = std::size_t{256} << 10;

Result<void> copy_stored(std::span<const std::byte> content, Checked& out) {
  for (std::size_t at = 0; at < content.size(); at += kPiece) {
    const auto piece = content.subspan(at, std::min(kPiece, content.size() - at));
    LLMD_TRY_VOID(out.write({reinterpret_cast<const char*>(piece.data()), piece.size()}));
  }
  return {};
}

Result<void> inflate_to(std::span<const std::byte> content, const std::string& name, Checked& out) {
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) {
    return internal_error("zlib does not start");
  }
  const std::unique_ptr<z_stream, int (*)(z_stream*)> owner(&stream,
                                                            [](z_stream* s) { return inflateEnd(s); });
  std::string buffer(kPiece, '\0');
  int status = Z_OK;
  while (status != Z_STREAM_END) {
    if (stream.avail_in == 0) {
      const auto piece = content.first(std::min(kPiece, content.size()));
      content = content.subspan(piece.size());
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(piece.data()));  // zlib only reads it
      stream.avail_in = static_cast<uInt>(piece.size());
    }
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    status = inflate(&stream, Z_NO_FLUSH);
    if (status != Z_OK && status != Z_STREAM_END) {  // Z_BUF_ERROR: the input ended too early
      return std::unexpected(broken(fmt::format("{} cannot be decompressed", name)));
    }
    LLMD_TRY_VOID(out.write({buffer.data(), buffer.size() - stream.avail_out}));
  }
  return {};
}

}  // namespace

Result<std::vector<ZipEntry>> read_zip_directory(std::span<const std::byte> archive) {
  LLMD_TRY(const Directory directory, find_directory(archive));
  if (directory.offset > archive.size() || directory.size > archive.size() - directory.offset) {
    return broken("its directory lies outside of it");
  }
  if (directory.entries > kMaxEntries) {
    return resource_exhausted("the archive has {} entries, at most {} are read", directory.entries,
                              kMaxEntries);
  }
  Cursor cursor(
      archive.subspan(static_cast<std::size_t>(directory.offset), static_cast<std::size_t>(directory.size)));
  std::vector<ZipEntry> entries;
  for (std::uint64_t i = 0; i < directory.entries; ++i) {
    LLMD_TRY(ZipEntry entry, read_entry(cursor));
    entries.push_back(std::move(entry));
  }
  return entries;
}

Result<void> extract_zip_entry(std::span<const std::byte> archive, const ZipEntry& entry,
                               const ByteSink& sink) {
  if (entry.flags & kEncrypted) {
    return unimplemented("{} is encrypted", entry.name);
  }
  LLMD_TRY(const auto content, content_of(archive, entry));
  Checked out(entry, sink);
  if (entry.method == 0) {
    LLMD_TRY_VOID(copy_stored(content, out));
  } else if (entry.method == Z_DEFLATED) {
    LLMD_TRY_VOID(inflate_to(content, entry.name, out));
  } else {
    return unimplemented("{} is compressed by method {}, not by deflate", entry.name, entry.method);
  }
  return out.finish();
}

}  // namespace llmd::storage
