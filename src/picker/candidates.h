// Which endpoints of a snapshot a request may go to at all. Private to picker.
#pragma once

#include <span>
#include <vector>

#include "picker/cycle.h"

namespace llmd::picker {

// All but those in `exclude`, and those outside of the proxy's subset if that is looked at. Of these the ones
// that refuse connections stand in `left_out` instead, unless all do: then all are candidates.
void list_candidates(const Request& request, std::span<const EndpointPtr> exclude, bool subset_filter,
                     const EndpointSnapshot& snapshot, std::vector<Row>& rows, std::vector<Row>& left_out);

}  // namespace llmd::picker
