// The pools that one program serves, and which of them a request is for. Each pool has a picker of its own.
//
// Any thread: the list is an immutable snapshot, and so are the rules of each pool.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "async/snapshot.h"
#include "extproc/rules.h"
#include "openai/model_list.h"
#include "picker/picker.h"

namespace llmd::extproc {

struct Pool {
  Pool(std::string name_, std::shared_ptr<picker::Picker> picker_);
  const std::string name;
  const std::shared_ptr<picker::Picker> picker;
  const bool flow_control;
  mutable async::Snapshot<Rules> rules;

  // Whether all parsers read what engines with this appProtocol of an InferencePool are sent.
  bool speaks(std::string_view app_protocol) const;
  // Also gives flow control a band for each priority.
  void set_rules(std::shared_ptr<const Rules> rules) const;
};
using PoolPtr = std::shared_ptr<const Pool>;

class Pools {
 public:
  // What asks for a pool besides its name.
  struct Entry {
    PoolPtr pool;
    std::vector<std::string> models = {};
    std::vector<std::string> hosts = {};
    bool is_default = false;
  };
  Pools() = default;
  explicit Pools(std::vector<Entry> entries) { set(std::move(entries)); }
  // One pool, which gets every request. The picker outlives this.
  explicit Pools(const picker::Picker& only);

  // One caller at a time; requests meanwhile see the old list or the new one.
  void set(std::vector<Entry> entries);

  struct Question {
    std::string_view name;  // said by the proxy: metadata or header; empty: nothing
    std::string_view host;  // :authority
    std::string_view model;
  };
  // A single pool gets everything. Otherwise the first that fits: the name; a host of the pool; a model of
  // the pool, or the pool's own name; a model that one of its rewrites names; a model or adapter that one of
  // its endpoints lists; the default pool.
  // Null: none does.
  PoolPtr select(const Question& question) const;
  // Whether a pool has this host (an :authority).
  bool names_host(std::string_view authority) const;
  // Of all pools, each once, by name: what the pools are said to serve, what their rewrites name, what their
  // endpoints list or have loaded as adapters. A pool of which nothing is known serves its own name.
  std::vector<openai::ListedCard> models() const;
  PoolPtr only() const;                       // null: there are several, or none
  PoolPtr find(std::string_view name) const;  // null: there is none
  std::vector<PoolPtr> all() const;

 private:
  struct List {
    std::vector<Entry> entries;
    std::map<std::string, PoolPtr, std::less<>> by_name;
    std::map<std::string, PoolPtr, std::less<>> by_host;
    std::map<std::string, PoolPtr, std::less<>> by_model;
    PoolPtr fallback;
  };
  async::Snapshot<List> list_;
};

}  // namespace llmd::extproc
