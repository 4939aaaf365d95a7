// Runs a grammar byte by byte. A state is the set of all places in the grammar (with the rules that wait for
// their return) that the bytes so far can lead to. States are made when they are first reached and numbered;
// going there again is a table look-up.
//
// Not thread-safe: states are made by const-looking questions.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "engine/grammar/grammar.h"

namespace llmd::engine {

class Automaton {
 public:
  using State = int;
  static constexpr State kDead = 0;  // no continuation matches

  explicit Automaton(Grammar grammar);

  State start() const { return start_; }
  // Also kDead once there are more states than memory is meant for.
  State next(State state, unsigned char byte);
  bool accepts(State state) const { return states_[static_cast<std::size_t>(state)].accepts; }
  // Matches, and nothing longer does.
  bool complete(State state) const;

 private:
  // A byte node, and the frame to return to (0: none).
  using Place = std::pair<int, int>;
  struct Known {
    std::vector<Place> places;  // sorted
    bool accepts = false;
    std::unique_ptr<std::array<State, 256>> next;  // -1: not asked yet
  };

  void close(int node, int frame, std::vector<Place>& places, bool& accepts);
  int push(int node, int frame);
  State intern(std::vector<Place> places, bool accepts);

  const Grammar grammar_;
  std::vector<Place> frames_;  // node to return to, frame below
  std::map<Place, int> frame_numbers_;
  std::vector<Known> states_;
  std::map<std::pair<bool, std::vector<Place>>, State> state_numbers_;
  std::vector<Place> visited_;
  State start_ = kDead;
};

}  // namespace llmd::engine
