#include "storage/wheel.h"

#include <algorithm>
#include <vector>

#include "base/file.h"
#include "base/strings.h"
#include "crypto/encode.h"
#include "crypto/hash.h"

namespace llmd::storage {
namespace {

constexpr std::size_t kMaxRecordBytes = std::size_t{64} << 20;

// The fields of one CSV line; quotes are doubled inside quoted fields.
std::vector<std::string> csv_fields(std::string_view line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"') {
      fields.back() += '"';
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  return fields;
}

Result<WheelRecord> read_record_line(const std::vector<std::string>& fields) {
  constexpr std::string_view kAlgorithm = "sha256=";
  const std::string_view hash = fields.size() > 1 ? std::string_view(fields[1]) : "";
  if (!hash.starts_with(kAlgorithm)) {
    return data_loss("the wheel's RECORD has no SHA-256 for {}", fields[0]);
  }
  const auto digest = crypto::from_base64(hash.substr(kAlgorithm.size()), crypto::Base64::Url);
  if (!digest || digest->size() != sizeof(crypto::Sha256Digest)) {
    return data_loss("the wheel's RECORD has a malformed SHA-256 for {}", fields[0]);
  }
  WheelRecord record{.sha256 = crypto::to_hex(*digest)};
  if (const auto size = fields.size() > 2 ? parse_integer(fields[2]) : std::nullopt; size && *size >= 0) {
    record.size = static_cast<std::uint64_t>(*size);
  }
  return record;
}

const ZipEntry* entry_named(const std::vector<ZipEntry>& entries, std::string_view name) {
  const auto found = std::ranges::find(entries, name, &ZipEntry::name);
  return found == entries.end() ? nullptr : &*found;
}

// NAME-VERSION.dist-info/RECORD at the top of the archive.
const ZipEntry* record_entry(const std::vector<ZipEntry>& entries) {
  for (const ZipEntry& entry : entries) {
    if (entry.name.ends_with(".dist-info/RECORD") && std::ranges::count(entry.name, '/') == 1) {
      return &entry;
    }
  }
  return nullptr;
}

Error no_such_member(const std::filesystem::path& wheel, const std::vector<ZipEntry>& entries,
                     std::string_view member) {
  std::vector<std::string_view> names;
  for (const ZipEntry& entry : entries) {
    if (entry.name.find(".dist-info/") == std::string::npos) {
      names.push_back(entry.name);
    }
  }
  std::string hint = did_you_mean(member, names);
  if (hint.empty() && !names.empty()) {
    constexpr std::size_t kShown = 8;
    const std::span shown(names.data(), std::min(kShown, names.size()));
    hint = fmt::format("it has {}{}", fmt::join(shown, ", "), names.size() > kShown ? ", ..." : "");
  }
  return not_found("{} has no file {}", wheel.filename().string(), member).hint(std::move(hint));
}

}  // namespace

Result<WheelRecord> find_in_record(std::string_view record, std::string_view member) {
  for (std::string_view line : split(record, '\n')) {
    const std::vector<std::string> fields = csv_fields(trim(line));
    if (fields[0] == member) {
      return read_record_line(fields);
    }
  }
  return not_found("the wheel's RECORD does not list {}", member);
}

Result<std::string> extract_from_wheel(const std::filesystem::path& wheel, std::string_view member,
                                       const ByteSink& sink) {
  LLMD_TRY(const MappedFile file, MappedFile::open(wheel));
  LLMD_TRY(const auto entries, read_zip_directory(file.bytes()));
  const ZipEntry* entry = entry_named(entries, member);
  if (!entry) {
    return no_such_member(wheel, entries, member);
  }
  const ZipEntry* record_file = record_entry(entries);
  if (!record_file) {
    return data_loss("{} has no RECORD, so nothing in it can be verified", wheel.filename().string());
  }
  std::string record_text;
  LLMD_TRY_VOID(extract_zip_entry(file.bytes(), *record_file, [&](std::string_view bytes) -> Result<void> {
    if (record_text.size() + bytes.size() > kMaxRecordBytes) {
      return std::unexpected(
          resource_exhausted("the wheel's RECORD is longer than {} bytes", kMaxRecordBytes));
    }
    record_text += bytes;
    return {};
  }));
  LLMD_TRY(const WheelRecord record, find_in_record(record_text, member));
  crypto::Sha256 hash;
  LLMD_TRY_VOID(extract_zip_entry(file.bytes(), *entry, [&](std::string_view bytes) -> Result<void> {
    hash.update(bytes);
    return sink(bytes);
  }));
  const std::string digest = crypto::to_hex(hash.finish());
  if (digest != record.sha256 || (record.size && *record.size != entry->size)) {
    return data_loss("{} has SHA-256 {}, but the wheel's RECORD says {}", member, digest, record.sha256);
  }
  return digest;
}

}  // namespace llmd::storage
