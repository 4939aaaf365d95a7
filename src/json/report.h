// Where a typed decoder writes down the mistakes of a document: every one with its path, so that a user sees
// all of them at once. Used by codec.h and by the validate() functions of described types.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "json/value.h"

namespace llmd::json {

struct Mistake {
  std::string path;     // spec.replicas; empty for the document itself
  std::string message;  // expected an integer, got a string
  std::string hint;     // did you mean 'name'?  Empty when nobody knows.

  std::string text() const;  // path: message (hint)
  Error error() const;       // InvalidArgument with message and hint
  bool operator==(const Mistake&) const = default;
};

enum class UnknownFields { Error, Ignore };

struct DecodeOptions {
  UnknownFields unknown_fields = UnknownFields::Error;
  std::string root;  // prefix of every path: "items[3]", "" for a whole document
};

class Report {
 public:
  explicit Report(DecodeOptions options = {}) : options_(std::move(options)), path_(options_.root) {}

  // A mistake in `member` of the value that is being decoded; an empty member is that value itself.
  template <typename... Args>
  void add(std::string_view member, fmt::format_string<Args...> format, Args&&... args) {
    add_with_hint(member, {}, fmt::format(format, std::forward<Args>(args)...));
  }
  void add_with_hint(std::string_view member, std::string hint, std::string message);
  // "expected an integer, got a string" for the value that is being decoded.
  void expected(std::string_view what, const Value& got);

  // Extends the path while it lives.
  class Step {
   public:
    Step(Report& report, std::string_view member);
    Step(Report& report, std::size_t index);
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;
    ~Step();

   private:
    Report& report_;
    const std::size_t length_before_;
  };

  const std::string& path() const { return path_; }
  const DecodeOptions& options() const { return options_; }
  const std::vector<Mistake>& mistakes() const { return mistakes_; }
  std::vector<Mistake> take() && { return std::move(mistakes_); }

 private:
  DecodeOptions options_;
  std::string path_;
  std::vector<Mistake> mistakes_;
};

}  // namespace llmd::json
