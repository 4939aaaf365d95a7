#include "apiserver/selection.h"

#include <algorithm>
#include <charconv>

namespace llmd::apiserver {

bool Selection::matches(const kube::Object& object) const {
  return (name_space.empty() || kube::namespace_of(object) == name_space) && labels.matches(object) &&
         fields.matches(object);
}

Answer<std::uint64_t> parse_version(std::string_view text) {
  std::uint64_t version = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (failed != std::errc() || end != text.data() + text.size()) {
    return std::unexpected(Failure{
        500,
        "",
        fmt::format("resourceVersion: Invalid value: {}: strconv.ParseUint: parsing {}: invalid syntax",
                    go_quoted(text), go_quoted(text)),
        {}});
  }
  return version;
}

Answer<Selection> read_selection(const Request& request) {
  Selection selection;
  selection.name_space = request.path.key.name_space;
  auto labels = kube::LabelSelector::parse(request.query.find("labelSelector"));
  if (!labels) {
    return std::unexpected(bad_request(labels.error().message));
  }
  std::string text(request.query.find("fieldSelector"));
  if (!request.path.key.name.empty()) {
    text += (text.empty() ? "" : ",") + ("metadata.name=" + request.path.key.name);
  }
  auto fields = kube::FieldSelector::parse(text);
  if (!fields) {
    return std::unexpected(bad_request(fields.error().message));
  }
  for (const auto& requirement : fields->requirements()) {
    const bool common = requirement.field == "metadata.name" || requirement.field == "metadata.namespace";
    if (!common &&
        std::ranges::find(request.kind().fields, requirement.field) == request.kind().fields.end()) {
      return std::unexpected(bad_request("field label not supported: " + requirement.field));
    }
  }
  selection.labels = std::move(*labels);
  selection.fields = std::move(*fields);
  return selection;
}

}  // namespace llmd::apiserver
