// The head of an HTTP message. Names keep the spelling they arrived with; lookups ignore case.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace llmd::http {

class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<std::pair<std::string, std::string>> fields) : fields_(fields) {}

  void add(std::string name, std::string value) { fields_.emplace_back(std::move(name), std::move(value)); }
  void set(std::string_view name, std::string value);  // replaces all of that name
  void remove(std::string_view name);
  // The first value of that name.
  std::optional<std::string_view> find(std::string_view name) const;
  bool has(std::string_view name) const { return find(name).has_value(); }
  // True when a comma-separated header lists `token` (case ignored): Connection: close, Transfer-Encoding:
  // chunked.
  bool lists(std::string_view name, std::string_view token) const;

  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }
  std::size_t size() const { return fields_.size(); }
  void clear() { fields_.clear(); }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

struct RequestHead {
  std::string method = "GET";
  std::string target = "/";  // as it stands in the request line: path and query, never decoded
  Headers headers;

  std::string_view path() const;                                            // target up to '?'
  std::string_view query() const;                                           // after '?', without it
  std::optional<std::string> query_parameter(std::string_view name) const;  // percent-decoded
};

struct ResponseHead {
  int status = 200;
  Headers headers;
};

std::string_view reason_phrase(int status);
std::string percent_decode(std::string_view text);
std::string percent_encode(std::string_view text);  // for one path segment or query value

}  // namespace llmd::http
