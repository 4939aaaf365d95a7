// Why a connection could not be made.
#pragma once

#include "base/error.h"

namespace llmd::net {

// Nobody listens there: the system refused the connection. A timeout, a reset or an unknown host says less.
// An Error has no place for the system's number, so this knows it by the words that connecting puts last;
// what is added on the way up stands before them.
bool is_refused(const Error& error);

}  // namespace llmd::net
