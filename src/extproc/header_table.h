// The header fields of one message, kept as the bytes they came in. Private to extproc.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "envoy/ext_proc.h"

namespace llmd::extproc {

class HeaderTable {
 public:
  HeaderTable() = default;
  HeaderTable(const HeaderTable&) = delete;

  // Keeps a copy of the message and views into it.
  void assign(std::string_view message, envoy::ProcessingRequest& scratch) {
    bytes_ = message;
    if (envoy::parse_request(bytes_, scratch)) {
      fields_.assign(scratch.headers.begin(), scratch.headers.end());
    }
  }
  // The last one of that name, which is in lower case, as Envoy sends them.
  std::optional<std::string_view> find(std::string_view name) const { return find_in(fields_, name); }
  // The same under the name of the time before, where the current one is absent.
  std::optional<std::string_view> find(std::string_view name, std::string_view older_name) const {
    const auto value = find(name);
    return value ? value : find(older_name);
  }
  bool empty() const { return fields_.empty(); }

  static std::optional<std::string_view> find_in(const std::vector<envoy::HeaderFieldView>& fields,
                                                 std::string_view name) {
    for (auto field = fields.rbegin(); field != fields.rend(); ++field) {
      if (field->first == name) {
        return field->second;
      }
    }
    return std::nullopt;
  }

 private:
  std::string bytes_;
  std::vector<envoy::HeaderFieldView> fields_;
};

}  // namespace llmd::extproc
