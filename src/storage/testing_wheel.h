// Builds small wheels for tests: a zip archive with METADATA, WHEEL and RECORD that pip accepts.
#pragma once

#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/encode.h"
#include "crypto/hash.h"
#include "crypto/random.h"

namespace llmd::storage {

// A folder of its own under the system's temporary folder, gone with the object.
class TestFolder {
 public:
  TestFolder() : path_(std::filesystem::temp_directory_path() / ("llmd-storage-" + crypto::random_hex(6))) {
    std::filesystem::create_directories(path_);
  }
  TestFolder(const TestFolder&) = delete;
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

struct TestWheelOptions {
  bool zip64 = false;
  bool wrong_hash = false;
  bool no_record = false;
};

class TestWheel {
 public:
  enum Method { Stored = 0, Deflated = 8 };

  TestWheel(std::string package, std::string version)
      : info_(package + "-" + version + ".dist-info"),
        path_(folder_.path() / (package + "-" + version + "-py3-none-any.whl")) {
    add(info_ + "/METADATA", "Metadata-Version: 2.1\nName: " + package + "\nVersion: " + version + "\n");
    add(info_ + "/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n");
  }

  void add(std::string name, std::string content, Method method = Deflated) {
    members_.push_back({std::move(name), std::move(content), method});
  }

  void write(TestWheelOptions options = {}) {
    std::string record;
    for (const Member& member : members_) {
      const auto digest = crypto::sha256(options.wrong_hash ? member.content + "?" : member.content);
      record += member.name + ",sha256=" + crypto::to_base64(digest, crypto::Base64::Url) + "," +
                std::to_string(member.content.size()) + "\n";
    }
    auto members = members_;
    if (!options.no_record) {
      members.push_back({info_ + "/RECORD", record + info_ + "/RECORD,,\n", Deflated});
    }
    std::ofstream(path_, std::ios::binary) << zip(members, options.zip64);
  }

  const std::filesystem::path& path() const { return path_; }
  const std::filesystem::path& folder() const { return folder_.path(); }

 private:
  struct Member {
    std::string name;
    std::string content;
    Method method;
  };

  static void put(std::string& out, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) {
      out += static_cast<char>(value >> (8 * i) & 0xff);
    }
  }
  static std::string deflate_raw(const std::string& content) {
    z_stream stream{};
    deflateInit2(&stream, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    std::string out(compressBound(content.size()) + 64, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
    stream.avail_in = static_cast<uInt>(content.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
  }

  static std::string zip(const std::vector<Member>& members, bool zip64) {
    std::string out;
    std::string directory;
    for (const Member& member : members) {
      const std::string data = member.method == Stored ? member.content : deflate_raw(member.content);
      const auto crc = crc32(0, reinterpret_cast<const Bytef*>(member.content.data()),
                             static_cast<uInt>(member.content.size()));
      const std::size_t offset = out.size();
      put(out, 0x04034b50, 4);
      put(out, 20, 2), put(out, 0, 2), put(out, member.method, 2), put(out, 0, 4), put(out, crc, 4);
      put(out, data.size(), 4), put(out, member.content.size(), 4), put(out, member.name.size(), 2),
          put(out, 0, 2);
      out += member.name + data;
      std::string extra;
      if (zip64) {
        put(extra, 1, 2), put(extra, 24, 2), put(extra, member.content.size(), 8), put(extra, data.size(), 8),
            put(extra, offset, 8);
      }
      put(directory, 0x02014b50, 4);
      put(directory, 20, 2), put(directory, 20, 2), put(directory, 0, 2), put(directory, member.method, 2),
          put(directory, 0, 4);
      put(directory, crc, 4), put(directory, zip64 ? 0xffffffff : data.size(), 4);
      put(directory, zip64 ? 0xffffffff : member.content.size(), 4), put(directory, member.name.size(), 2);
      put(directory, extra.size(), 2), put(directory, 0, 2), put(directory, 0, 2), put(directory, 0, 2),
          put(directory, 0, 4);
      put(directory, zip64 ? 0xffffffff : offset, 4);
      directory += member.name + extra;
    }
    const std::size_t start = out.size();
    out += directory;
    if (zip64) {
      const std::size_t record = out.size();
      put(out, 0x06064b50, 4), put(out, 44, 8), put(out, 45, 2), put(out, 45, 2), put(out, 0, 4),
          put(out, 0, 4);
      put(out, members.size(), 8), put(out, members.size(), 8), put(out, directory.size(), 8),
          put(out, start, 8);
      put(out, 0x07064b50, 4), put(out, 0, 4), put(out, record, 8), put(out, 1, 4);
    }
    put(out, 0x06054b50, 4), put(out, 0, 2), put(out, 0, 2), put(out, zip64 ? 0xffff : members.size(), 2);
    put(out, zip64 ? 0xffff : members.size(), 2), put(out, zip64 ? 0xffffffff : directory.size(), 4);
    put(out, zip64 ? 0xffffffff : start, 4), put(out, 0, 2);
    return out;
  }

  TestFolder folder_;
  std::string info_;
  std::filesystem::path path_;
  std::vector<Member> members_;
};

}  // namespace llmd::storage
