// Reads GGUF files, versions 2 and 3: typed metadata and a directory of tensors. Nothing is copied: strings
// and tensor bytes are views into the mapping, which lives as long as the GgufFile (moving it keeps the views
// valid).
//
//   LLMD_TRY(const auto file, modelfile::GgufFile::open("model.gguf"));
//   LLMD_TRY(const auto tokens, file.strings("tokenizer.ggml.tokens"));
//
// Files are untrusted: counts, lengths and offsets are checked against the bytes that are there before
// anything is allocated for them. Everything is const after open; any thread may read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "modelfile/tensor.h"

namespace llmd::modelfile {

// All integer widths become int64 (a value beyond it is refused), both float widths double; arrays of
// booleans become integers 0 and 1. Arrays of arrays are refused.
using GgufValue = std::variant<bool, std::int64_t, double, std::string_view, std::vector<std::string_view>,
                               std::vector<std::int64_t>, std::vector<double>>;

class GgufFile {
 public:
  static Result<GgufFile> open(const std::filesystem::path& path);
  // For bytes that the caller keeps alive; `name` is for errors.
  static Result<GgufFile> parse(std::span<const std::byte> bytes, std::string name);

  const std::string& name() const { return name_; }

  bool has(std::string_view key) const { return values_.contains(key); }
  const GgufValue* find(std::string_view key) const;  // null when absent

  // NotFound when the key is absent, DataLoss when it has another type. number() also takes integers.
  Result<std::string_view> string(std::string_view key) const;
  Result<std::int64_t> integer(std::string_view key) const;
  Result<double> number(std::string_view key) const;
  Result<bool> boolean(std::string_view key) const;
  // The spans live as long as this object.
  Result<std::span<const std::string_view>> strings(std::string_view key) const;
  Result<std::span<const std::int64_t>> integers(std::string_view key) const;
  Result<std::span<const double>> numbers(std::string_view key) const;

  const std::map<std::string_view, GgufValue, std::less<>>& values() const { return values_; }
  const std::map<std::string_view, TensorView, std::less<>>& tensors() const { return tensors_; }
  const TensorView* tensor(std::string_view tensor_name) const;  // null when absent

 private:
  GgufFile() = default;
  template <typename T>
  Result<const T*> typed(std::string_view key, std::string_view wanted) const;
  Result<void> read(std::span<const std::byte> bytes);

  std::string name_;
  std::optional<MappedFile> mapping_;
  std::map<std::string_view, GgufValue, std::less<>> values_;
  std::map<std::string_view, TensorView, std::less<>> tensors_;
};

}  // namespace llmd::modelfile
