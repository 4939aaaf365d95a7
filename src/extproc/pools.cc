#include "extproc/pools.h"

#include <algorithm>

#include "base/strings.h"
#include "picker/plan.h"
#include "picker/plugins/parsers.h"

namespace llmd::extproc {
namespace {

// Host names are compared without case and port.
std::string host_name(std::string_view authority) {
  const auto bracket = authority.rfind(']');
  const auto colon = authority.rfind(':');
  const bool has_port =
      colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  return to_lower(has_port ? authority.substr(0, colon) : authority);
}

template <typename Map>
PoolPtr find_in(const Map& map, std::string_view key) {
  const auto found = map.find(key);
  return found == map.end() ? nullptr : found->second;
}

bool lists_model(const Pool& pool, std::string_view model) {
  return std::ranges::any_of(
      pool.picker->endpoints()->endpoints, [model](const picker::EndpointPtr& endpoint) {
        const auto models = endpoint->models();
        const auto adapters = endpoint->adapters();
        return std::ranges::find(*models, model, &picker::ListedModel::id) != models->end() ||
               std::ranges::find(adapters->active, model) != adapters->active.end();
      });
}

}  // namespace

Pool::Pool(std::string name_, std::shared_ptr<picker::Picker> picker_)
    : name(std::move(name_)),
      picker(std::move(picker_)),
      flow_control(picker->plan().configuration.flow_control) {}

bool Pool::speaks(std::string_view app_protocol) const {
  return std::ranges::all_of(picker->plan().parsers, [app_protocol](const picker::Parser* parser) {
    return parser->speaks(app_protocol);
  });
}

void Pool::set_rules(std::shared_ptr<const Rules> next) const {
  std::vector<int> levels;
  for (const auto& [objective, priority] : next->priorities) {
    levels.push_back(priority);
  }
  picker->set_priorities(levels);
  for (const auto& names : {next->rewrites.names(), next->rewrites.targets()}) {
    for (const std::string& model : names) {
      picker->know_model(model);
    }
  }
  rules.store(std::move(next));
}

Pools::Pools(const picker::Picker& only) {
  // Not owned: the deleter does nothing.
  const auto borrowed = std::shared_ptr<picker::Picker>(const_cast<picker::Picker*>(&only), [](auto*) {});
  set({{.pool = std::make_shared<const Pool>(only.options().pool, borrowed)}});
}

void Pools::set(std::vector<Entry> entries) {
  auto list = std::make_shared<List>();
  for (const Entry& entry : entries) {
    list->by_name.emplace(entry.pool->name, entry.pool);
    for (const std::string& host : entry.hosts) {
      list->by_host.emplace(to_lower(host), entry.pool);
    }
    for (const std::string& model : entry.models) {
      list->by_model.emplace(model, entry.pool);
    }
    if (entry.is_default) {
      list->fallback = entry.pool;
    }
  }
  list->entries = std::move(entries);
  list_.store(std::move(list));
}

PoolPtr Pools::select(const Question& question) const {
  const auto list = list_.load();
  if (list->entries.size() == 1) {
    return list->entries.front().pool;
  }
  if (!question.name.empty()) {
    return find_in(list->by_name, question.name);
  }
  if (auto pool = find_in(list->by_host, host_name(question.host))) {
    return pool;
  }
  if (question.model.empty()) {
    return list->fallback;
  }
  if (auto pool = find_in(list->by_model, question.model)) {
    return pool;
  }
  if (auto pool = find_in(list->by_name, question.model)) {
    return pool;
  }
  for (const Entry& entry : list->entries) {
    if (entry.pool->rules.load()->rewrites.has(question.model)) {
      return entry.pool;
    }
  }
  for (const Entry& entry : list->entries) {
    if (lists_model(*entry.pool, question.model)) {
      return entry.pool;
    }
  }
  return list->fallback;
}

bool Pools::names_host(std::string_view authority) const {
  return list_.load()->by_host.contains(host_name(authority));
}

std::vector<openai::ListedCard> Pools::models() const {
  std::map<std::string, openai::ListedCard> found;
  const auto add = [&found](const std::string& id, const std::string& owner = {},
                            const std::string& parent = {}) {
    openai::ListedCard& listed = found[id];
    openai::ModelCard& card = listed.card;
    card.id = id;
    card.owned_by = card.owned_by.empty() ? owner : card.owned_by;
    card.parent = card.parent.empty() ? parent : card.parent;
    listed.via = "pool";
  };
  for (const Entry& entry : list_.load()->entries) {
    bool known = !entry.models.empty();
    std::ranges::for_each(entry.models, [&](const std::string& model) { add(model); });
    const auto rules = entry.pool->rules.load();
    std::ranges::for_each(rules->rewrites.names(), [&](const std::string& model) { add(model); });
    const auto snapshot = entry.pool->picker->endpoints();
    for (const picker::EndpointPtr& endpoint : snapshot->endpoints) {
      const auto models = endpoint->models();
      const auto adapters = endpoint->adapters();
      known = known || !models->empty();
      std::ranges::for_each(*models, [&](const auto& model) { add(model.id, model.owner, model.parent); });
      std::ranges::for_each(adapters->active, [&](const std::string& adapter) { add(adapter); });
    }
    if (!known) {
      add(entry.pool->name);
    }
  }
  std::vector<openai::ListedCard> cards;
  for (auto& [id, card] : found) {
    cards.push_back(std::move(card));
  }
  return cards;
}

PoolPtr Pools::only() const {
  const auto list = list_.load();
  return list->entries.size() == 1 ? list->entries.front().pool : nullptr;
}

PoolPtr Pools::find(std::string_view name) const {
  return find_in(list_.load()->by_name, name);
}

std::vector<PoolPtr> Pools::all() const {
  std::vector<PoolPtr> pools;
  for (const Entry& entry : list_.load()->entries) {
    pools.push_back(entry.pool);
  }
  return pools;
}

}  // namespace llmd::extproc
