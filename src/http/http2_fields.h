// Header fields on their way into nghttp2: lower-case names, no HTTP/1 connection fields. Private to http.
#pragma once

#include <nghttp2/nghttp2.h>

#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace llmd::http {

class Http2Fields {
 public:
  void add(std::string_view name, std::string_view value);
  // Without those that mean the connection.
  void add_all(const Headers& headers);
  std::vector<nghttp2_nv> build();

 private:
  struct Field {
    std::size_t name_size;
    std::size_t value_size;
  };
  std::string text_;  // all names and values, one after another
  std::vector<Field> fields_;
};

}  // namespace llmd::http
