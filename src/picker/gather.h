// Fills a cycle's basic columns from what is known now. Private to picker.
#pragma once

#include "picker/cycle.h"

namespace llmd::picker {

// Numbers older than this lose their weight until, five times as old, they count no more.
inline constexpr float kFreshSeconds = 2;

// Copies the numbers of scrapers and leases. What was not heard of for a while is drawn towards the mean of
// those that were: a silent endpoint with an empty queue must not look like the best one.
void gather(Cycle& cycle);

}  // namespace llmd::picker
