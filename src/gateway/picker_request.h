// What a picker is told about a request, and the picker of an InferencePool. Private to gateway.
#pragma once

#include <memory>

#include "http/message.h"
#include "openai/request_scan.h"
#include "picker/picker.h"

namespace llmd::gateway {

// Scan and headers outlive the result.
picker::Request request_of(const openai::RequestScan& scan, const http::Headers& headers);

// Prefers endpoints that have seen the beginning of the prompt, unless they are busier than others. Nothing
// is scraped: both are known from what this gateway has sent.
std::shared_ptr<picker::Picker> make_pool_picker();

}  // namespace llmd::gateway
