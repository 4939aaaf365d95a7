#include <algorithm>
#include <cctype>

#include "base/strings.h"
#include "llmisvc/check_parts.h"
#include "llmisvc/dns_name.h"
#include "llmisvc/storage.h"

namespace llmd::llmisvc {
namespace {

bool is_word(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
  });
}

// <model-name>, org/model written by documentation, "..."
bool is_placeholder(std::string_view rest) {
  return rest.find("...") != std::string_view::npos || rest.find('<') != std::string_view::npos ||
         rest.find("${") != std::string_view::npos;
}

// ORG/MODEL, with a revision behind ':' or '@'; a few old models have no organisation.
bool is_hub_name(std::string_view rest) {
  rest = rest.substr(0, rest.find_first_of(":@"));
  while (rest.ends_with('/')) {
    rest.remove_suffix(1);
  }
  const auto parts = split(rest, '/');
  return parts.size() <= 2 && std::ranges::all_of(parts, is_word);
}

bool is_claim(std::string_view rest) {
  const std::string_view claim = rest.substr(0, rest.find('/'));
  return !claim.empty() && std::ranges::all_of(split(claim, '.'), [](std::string_view part) {
    return !part.empty() && (is_dns_label(part) || is_dns_label("x" + std::string(part)));
  });
}

struct Form {
  bool is_right;
  std::string_view expected;
};

Form form_of(const ModelUri& uri) {
  const std::string_view first = std::string_view(uri.rest).substr(0, uri.rest.find('/'));
  if (uri.scheme == "hf") {
    return {is_hub_name(uri.rest), "hf://ORGANISATION/MODEL"};
  }
  if (uri.scheme == "s3" || uri.scheme == "gs") {
    return {is_word(first), "a bucket and a folder"};
  }
  if (uri.scheme == "pvc") {
    return {is_claim(uri.rest), "pvc://CLAIM/FOLDER"};
  }
  if (uri.scheme == "https" || uri.scheme == "http") {
    const std::string_view host = first.substr(0, first.find(':'));
    return {is_word(host) && first.size() < uri.rest.size(), "a host and the path of a file"};
  }
  if (uri.scheme == "oci" || uri.scheme == "oci+native") {
    return {uri.rest.find(' ') == std::string::npos && !uri.rest.starts_with('/'),
            "an image: REGISTRY/NAME:TAG"};
  }
  return {true, {}};
}

}  // namespace

void check_uri(const std::string& uri, const std::string& path, Platform platform, Findings& findings) {
  const auto add = [&](std::string sentence, std::string fix) {
    findings.push_back(
        {.code = "model-uri", .path = path, .sentence = std::move(sentence), .fix = std::move(fix)});
  };
  const auto parsed = parse_model_uri(uri, platform);
  if (!parsed) {
    return add(parsed.error().message, parsed.error().advice);
  }
  if (is_placeholder(parsed->rest)) {
    return add(fmt::format("'{}' is a placeholder", uri), "write the model's name");
  }
  if (const Form form = form_of(*parsed); !form.is_right) {
    add(fmt::format("'{}' is not {}", uri, form.expected), "check the spelling");
  }
}

}  // namespace llmd::llmisvc
