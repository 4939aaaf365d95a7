// Reads safetensors: one file, or a folder with one file or with shards and their index. Views into mapped
// files, which live as long as the object (moving it keeps the views valid).
//
// Files are untrusted. Enforced: the header is a JSON object of at most 100 MB; every tensor's bytes lie in
// the file, have the size of shape times type, and all together cover the data without holes or overlaps.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "modelfile/tensor.h"

namespace llmd::modelfile {

using TensorMap = std::map<std::string, TensorView, std::less<>>;

// Tensors of types other than F32, F16, BF16 are checked and left out.
Result<TensorMap> parse_safetensors(std::span<const std::byte> bytes);

class SafetensorsSet {
 public:
  // `stem`.safetensors, or the shards that `stem`.safetensors.index.json names. NotFound when there is
  // neither.
  static Result<SafetensorsSet> open(const std::filesystem::path& folder, std::string_view stem = "model");

  const TensorMap& tensors() const { return tensors_; }
  const TensorView* tensor(std::string_view name) const;  // null when absent

 private:
  Result<void> add_file(const std::filesystem::path& path);

  std::vector<MappedFile> mappings_;
  TensorMap tensors_;
};

}  // namespace llmd::modelfile
