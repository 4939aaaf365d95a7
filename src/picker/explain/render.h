// Decisions as JSON: for people (what happened and why) and for files (the facts, to decide again). Private
// to picker; files are read by replay.h.
#pragma once

#include <span>
#include <string>

#include "json/value.h"
#include "picker/explain/recorder.h"

namespace llmd::picker {

// Candidates, each profile's filters with survivors, each scorer's contribution, and the choice.
json::Value explanation_of(const Plan& plan, const Recorded& recorded);
// All that replay() needs, as text.
std::string export_of(const Plan& plan, std::span<const Recorded> decisions);

}  // namespace llmd::picker
