#include "gateway/filter_chain.h"

#include <span>

namespace llmd::gateway {
namespace {

bool edits_responses(const Filters* filters) {
  return filters != nullptr && (!filters->response_edits.empty() || filters->cors);
}

}  // namespace

std::optional<http::ResponseHead> answer_of(const Filters& rule, const http::RequestHead& request,
                                            std::string_view matched_prefix, std::string_view scheme,
                                            int listener_port) {
  if (rule.cors) {
    if (auto answer = rule.cors->preflight(request)) {
      return answer;
    }
  }
  if (!rule.redirect) {
    return std::nullopt;
  }
  http::ResponseHead answer{.status = rule.redirect->status, .headers = {}};
  answer.headers.add("Location", rule.redirect->location(request, matched_prefix, scheme, listener_port));
  rule.response_edits.apply(answer.headers);
  return answer;
}

void apply_to_request(const FilterChain& chain, std::string_view matched_prefix, http::RequestHead& request) {
  for (const Filters* filters : chain) {
    if (filters == nullptr) {
      continue;
    }
    request.target = filters->rewrite.apply(request.target, matched_prefix);
    if (!filters->host_rewrite.empty()) {
      request.headers.set("Host", filters->host_rewrite);
    }
    filters->request_edits.apply(request.headers);
  }
}

std::function<void(http::ResponseHead&)> response_edits(const FilterChain& chain,
                                                        const http::RequestHead& request) {
  if (!edits_responses(chain[0]) && !edits_responses(chain[1])) {
    return nullptr;
  }
  return [chain, &request](http::ResponseHead& head) {
    for (const Filters* filters : chain) {
      if (filters != nullptr) {
        filters->response_edits.apply(head.headers);
        if (filters->cors) {
          filters->cors->mark(request, head.headers);
        }
      }
    }
  };
}

std::vector<const Mirror*> chosen_mirrors(const FilterChain& chain, unsigned turn) {
  std::vector<const Mirror*> chosen;
  for (const Filters* filters : chain) {
    for (const Mirror& mirror : filters == nullptr ? std::span<const Mirror>() : filters->mirrors) {
      if (mirror.chooses(turn)) {
        chosen.push_back(&mirror);
      }
    }
  }
  return chosen;
}

}  // namespace llmd::gateway
