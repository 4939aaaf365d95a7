#include "picker/candidates.h"

#include <algorithm>

namespace llmd::picker {
namespace {

bool is_in_subset(const EndpointState& endpoint, std::span<const std::string_view> subset) {
  const std::string& host = endpoint.endpoint.address.host;
  return std::ranges::any_of(subset, [&host](std::string_view wanted) {
    const auto colon = wanted.rfind(':');
    std::string_view address = wanted.substr(0, colon);
    if (address.starts_with('[') && address.ends_with(']')) {
      address = address.substr(1, address.size() - 2);
    }
    return address == host || wanted == host;
  });
}

}  // namespace

void list_candidates(const Request& request, std::span<const EndpointPtr> exclude, bool subset_filter,
                     const EndpointSnapshot& snapshot, std::vector<Row>& rows, std::vector<Row>& left_out) {
  rows.clear();
  left_out.clear();
  for (std::size_t row = 0; row < snapshot.endpoints.size(); ++row) {
    const EndpointPtr& endpoint = snapshot.endpoints[row];
    const bool excluded = !exclude.empty() && std::ranges::find(exclude, endpoint) != exclude.end();
    const bool outside = subset_filter && request.subset && !is_in_subset(*endpoint, *request.subset);
    if (!excluded && !outside) {
      (endpoint->unreachable() ? left_out : rows).push_back(static_cast<Row>(row));
    }
  }
  if (rows.empty()) {
    rows.swap(left_out);
  }
}

}  // namespace llmd::picker
