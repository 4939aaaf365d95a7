// Parameters: the `parameters` object of a plugin, read member by member over defaults.
//
//   parameters.read("threshold", threshold_);            // absent or null: the default stays
//   parameters.read("blockSizeTokens", block_, "blockSize");   // with an older name
//   parameters.accept("requestTimeout");                  // known, without effect
//   if (threshold_ <= 0) parameters.reject("threshold", "must be positive");
//
// Nothing fails at once: wrong types, rejected values and names that nobody read are problems that the loader
// reports together, each with its path. Names are compared without case, as upstream does, unless said
// otherwise.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "json/value.h"

namespace llmd::picker {

struct Problem {
  std::string path;
  std::string message;
  std::string hint;
  bool unknown_name = false;
};

class Parameters {
 public:
  // Exact: names are compared with case, as upstream reads the document around the parameters.
  enum class Spelling { AnyCase, Exact };
  Parameters(const json::Object* object, std::string path, Spelling spelling = Spelling::AnyCase);

  bool has(std::string_view name) const;
  bool empty() const { return object_ == nullptr || object_->empty(); }
  // Null when absent or null. Marks the name as known.
  const json::Value* value(std::string_view name);

  void read(std::string_view name, bool& into, std::string_view older_name = {});
  void read(std::string_view name, int& into, std::string_view older_name = {});
  void read(std::string_view name, std::int64_t& into, std::string_view older_name = {});
  void read(std::string_view name, double& into, std::string_view older_name = {});
  void read(std::string_view name, std::string& into, std::string_view older_name = {});
  void read(std::string_view name, Duration& into, std::string_view older_name = {});  // "5s" or nanoseconds
  void read(std::string_view name, std::vector<std::string>& into);
  void read(std::string_view name, std::map<std::string, std::string>& into);
  // One of a list of words; the index is stored. Case, '-' and '_' do not count.
  void read_choice(std::string_view name, int& into, std::initializer_list<std::string_view> words);

  // A nested object; empty when absent.
  Parameters& object(std::string_view name);
  // The objects of a list; empty when absent.
  std::vector<Parameters*> objects(std::string_view name);

  // Known names that mean nothing (any more).
  void accept(std::initializer_list<std::string_view> names);
  // Everything below is known: for blocks of other programs.
  void accept_all();
  void reject(std::string_view name, std::string message);

  const std::string& path() const { return path_; }
  const json::Object* json() const { return object_; }
  // All problems of this object and the nested ones, unknown names included.
  std::vector<Problem> problems() const;

 private:
  const json::Value* find(std::string_view name, std::string_view older_name = {});
  void expected(std::string_view name, std::string_view what, const json::Value& got);

  bool is(std::string_view key, std::string_view name) const;
  bool is_known(std::string_view key) const;

  const json::Object* object_;
  std::string path_;
  Spelling spelling_;
  std::vector<std::string> spelled_;
  bool all_known_ = false;
  std::deque<Parameters> nested_;
  std::vector<Problem> problems_;
};

}  // namespace llmd::picker
