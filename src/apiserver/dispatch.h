// From an HTTP request to the handler that answers it.
#pragma once

#include "apiserver/service.h"

namespace llmd::apiserver {

Task<void> dispatch(Service& service, http::Exchange& exchange);

// SelfSubjectAccessReview and its like: the owner of the token may do everything.
std::optional<boost::json::object> answer_review(std::string_view path, const std::string& body);

}  // namespace llmd::apiserver
