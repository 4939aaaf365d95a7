#include "engine/grammar/automaton.h"

#include <algorithm>

namespace llmd::engine {
namespace {

constexpr std::size_t kMostStates = 100000;
constexpr std::size_t kMostPlaces = 4096;  // of one state: a grammar that is this ambiguous is given up

}  // namespace

Automaton::Automaton(Grammar grammar) : grammar_(std::move(grammar)) {
  frames_.emplace_back();
  states_.emplace_back();
  state_numbers_.emplace(std::pair(false, std::vector<Place>()), kDead);
  std::vector<Place> places;
  bool accepts = false;
  visited_.clear();
  close(grammar_.rules.front(), 0, places, accepts);
  start_ = intern(std::move(places), accepts);
}

// Follows everything that reads no byte.
void Automaton::close(int node, int frame, std::vector<Place>& places, bool& accepts) {
  std::vector<Place> open = {{node, frame}};
  while (!open.empty() && visited_.size() < kMostPlaces) {
    const Place place = open.back();
    open.pop_back();
    if (std::ranges::find(visited_, place) != visited_.end()) {
      continue;
    }
    visited_.push_back(place);
    const GrammarNode& here = grammar_.nodes[static_cast<std::size_t>(place.first)];
    switch (here.kind) {
      case GrammarNode::Kind::Bytes:
        places.push_back(place);
        break;
      case GrammarNode::Kind::Branch:
        for (const int branch : here.branches) {
          open.emplace_back(branch, place.second);
        }
        break;
      case GrammarNode::Kind::Call:
        open.emplace_back(grammar_.rules[static_cast<std::size_t>(here.rule)], push(here.next, place.second));
        break;
      case GrammarNode::Kind::Return:
        if (place.second == 0) {
          accepts = true;
        } else {
          open.push_back(frames_[static_cast<std::size_t>(place.second)]);
        }
    }
  }
}

// A call that is the last thing in its rule returns to where the rule returns: lists do not pile up frames.
int Automaton::push(int node, int frame) {
  if (grammar_.nodes[static_cast<std::size_t>(node)].kind == GrammarNode::Kind::Return) {
    return frame;
  }
  const auto [found, fresh] = frame_numbers_.try_emplace({node, frame}, static_cast<int>(frames_.size()));
  if (fresh) {
    frames_.emplace_back(node, frame);
  }
  return found->second;
}

Automaton::State Automaton::intern(std::vector<Place> places, bool accepts) {
  std::ranges::sort(places);
  const auto [found, fresh] =
      state_numbers_.try_emplace({accepts, places}, static_cast<State>(states_.size()));
  if (!fresh) {
    return found->second;
  }
  if (states_.size() >= kMostStates) {
    state_numbers_.erase(found);
    return kDead;
  }
  states_.push_back({.places = std::move(places), .accepts = accepts, .next = nullptr});
  return found->second;
}

Automaton::State Automaton::next(State state, unsigned char byte) {
  if (state == kDead) {
    return kDead;
  }
  auto& table = states_[static_cast<std::size_t>(state)].next;
  if (table == nullptr) {
    table = std::make_unique<std::array<State, 256>>();
    table->fill(-1);
  }
  const State known = (*table)[byte];
  if (known >= 0) {
    return known;
  }
  std::vector<Place> places;
  bool accepts = false;
  visited_.clear();
  for (const auto& [node, frame] : states_[static_cast<std::size_t>(state)].places) {
    const GrammarNode& here = grammar_.nodes[static_cast<std::size_t>(node)];
    if (here.bytes[byte]) {
      close(here.next, frame, places, accepts);
    }
  }
  const State reached = intern(std::move(places), accepts);
  (*states_[static_cast<std::size_t>(state)].next)[byte] = reached;
  return reached;
}

bool Automaton::complete(State state) const {
  const Known& known = states_[static_cast<std::size_t>(state)];
  return known.accepts && known.places.empty();
}

}  // namespace llmd::engine
