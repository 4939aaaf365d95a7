// What a picker is told about a request, and the picker of an InferencePool. Private to gateway.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "gateway/configuration.h"
#include "http/message.h"
#include "openai/media_items.h"
#include "picker/picker.h"

namespace llmd::gateway {

// The images, videos and sounds of a body that was scanned; none for plain text, at no cost.
std::vector<openai::MediaItem> media_of(const openai::RequestScan& scan, std::string_view body,
                                        const http::Headers& headers,
                                        const openai::MediaEstimate& estimate = {});

// Scan, headers and media outlive the result.
picker::Request request_of(const openai::RequestScan& scan, const http::Headers& headers,
                           std::span<const openai::MediaItem> media = {});

// Of an InferenceObjective that exists; 0 of others.
int priority_of(std::string_view objective, const std::map<std::string, int, std::less<>>& priorities);

// Each priority that an objective gives has a band of its own in flow control.
void set_priorities(const picker::Picker& picker,
                    const std::map<std::string, int, std::less<>>& by_objective);

// As pools.pickerConfig says. Without it: prefers endpoints that have seen the beginning of the prompt,
// unless they are busier than others; nothing is scraped then, both are known from what this gateway has
// sent.
Result<std::shared_ptr<picker::Picker>> make_pool_picker(const PoolsConfiguration& pools,
                                                         const trace::Tracer* tracer = nullptr);
// The same with a configuration that has been checked.
std::shared_ptr<picker::Picker> pool_picker(const PoolsConfiguration& pools, const trace::Tracer* tracer);

}  // namespace llmd::gateway
