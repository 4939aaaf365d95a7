// What a connection makes of a series of messages, as text: for the property "any split gives the same" and
// for the fuzzers. Uses the parsers exactly as the connections do. Private to http and its tests.
#pragma once

#include <string>
#include <string_view>

namespace llmd::http {

// Feeds `bytes` in steps of `step` bytes, then the end of input.
std::string transcript_of_requests(std::string_view bytes, std::size_t step);
std::string transcript_of_responses(std::string_view bytes, std::size_t step);

}  // namespace llmd::http
