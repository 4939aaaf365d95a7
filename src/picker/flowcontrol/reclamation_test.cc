// How many running requests are taken back, from whom, and when the next decision may come: the rules of
// llm-d's reclamation, as its own tests state them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "metrics/text_reader.h"
#include "picker/flowcontrol/eviction.h"
#include "picker/metrics/page.h"

namespace llmd::picker {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr Duration kGrace = milliseconds(500);

// Requests that run, and what became of them.
class ReclamationTest : public testing::Test {
 protected:
  void runs(std::string name, int priority) {
    auto made = std::make_unique<Evictor::Running>();
    made->priority = priority;
    made->number = running_.size();
    made->evict = [this, name] { evicted_.push_back(name); };
    evictor_.add(*made);
    running_.emplace(name, std::move(made));
  }
  void ends(const std::string& name) {
    evictor_.remove(*running_.at(name), now_);
    running_.erase(name);
  }
  std::size_t reclaim(Evictor::Demand demand) { return evictor_.reclaim(demand, now_); }
  std::vector<std::string> evicted() { return std::exchange(evicted_, {}); }
  std::optional<double> shown(std::string_view name, metrics::Exposition::Labels labels = {}) const {
    Page page;
    evictor_.write(page, "pool");
    std::string text;
    metrics::TextWriter writer(text);
    page.write(writer);
    return metrics::parse_exposition(text)->value("llm_d_epp_flow_control_" + std::string(name), labels);
  }

  static constexpr Evictor::Demand kFull{.priority = 0, .saturation = 1, .ceiling = 1, .in_flight = 4};
  Evictor evictor_{kGrace};
  std::map<std::string, std::unique_ptr<Evictor::Running>> running_;
  std::vector<std::string> evicted_;
  TimePoint now_{std::chrono::hours(1)};
};

TEST_F(ReclamationTest, AsManyAsTheSaturationIsOverTheCeilingAtLeastOneAtMostTwo) {
  struct Row {
    double saturation;
    double ceiling;
    int in_flight;
    std::size_t taken;
  };
  for (const Row& row : {
           Row{1.0, 1.0, 10, 1},   // exactly full: one makes room
           Row{1.05, 1.0, 10, 1},  // half a request over
           Row{1.2, 1.0, 12, 2},   // two requests over
           Row{2.0, 1.0, 10, 2},   // five over, two at a time
           Row{0.8, 0.5, 8, 2},    // a lower ceiling counts from there
           Row{0.5, 0.5, 1, 1},    // the only one
           Row{0.99, 1.0, 10, 0},  // there is room
           Row{1.0, 0.0, 10, 0},   // a closed band gets no room whatever ends
           Row{1.0, 1.0, 0, 0},    // nothing runs that could end
       }) {
    Evictor evictor(kGrace);
    std::vector<Evictor::Running> victims(5);
    for (std::size_t i = 0; i < victims.size(); ++i) {
      victims[i] = {.priority = -1, .number = i, .evict = [] {}};
      evictor.add(victims[i]);
    }
    EXPECT_EQ(
        evictor.reclaim(
            {.priority = 0, .saturation = row.saturation, .ceiling = row.ceiling, .in_flight = row.in_flight},
            now_),
        row.taken)
        << row.saturation << " over " << row.ceiling << " with " << row.in_flight;
  }
}

TEST_F(ReclamationTest, VictimsAreStrictlyBelowTheDemandEvenWhenMoreAreWanted) {
  runs("equal", -2);
  runs("above", -1);
  runs("below", -3);
  EXPECT_EQ(reclaim({.priority = -2, .saturation = 5, .ceiling = 1, .in_flight = 3}), 1);
  EXPECT_THAT(evicted(), ElementsAre("below"));
}

TEST_F(ReclamationTest, TheGateClosesUntilAllVictimsHaveEndedAndNumbersHadTimeToFollow) {
  for (const char* name : {"a", "b", "c"}) {
    runs(name, -1);
  }
  const Evictor::Demand two{.priority = 0, .saturation = 2, .ceiling = 1, .in_flight = 4};
  EXPECT_EQ(reclaim(two), 2);
  EXPECT_THAT(evicted(), ElementsAre("c", "b"));
  ends("c");
  EXPECT_EQ(evictor_.pending(), 1);
  now_ += kGrace;
  EXPECT_EQ(reclaim(two), 0) << "b still runs";
  ends("b");
  EXPECT_EQ(reclaim(two), 0) << "numbers are as old as b's end";
  now_ += kGrace;
  EXPECT_EQ(reclaim(two), 1);
  EXPECT_THAT(evicted(), ElementsAre("a"));
  EXPECT_EQ(shown("revocations_total", {{"outcome", "confirmed"}}), 2);
  EXPECT_EQ(shown("pending_reclaim"), 1);
}

TEST_F(ReclamationTest, TheEndOfARequestThatNobodyAskedOpensNothing) {
  runs("victim", -1);
  runs("bystander", -2);
  runs("another", -3);
  EXPECT_EQ(reclaim(kFull), 1);
  EXPECT_THAT(evicted(), ElementsAre("another"));
  ends("bystander");
  now_ += seconds(1);
  EXPECT_EQ(reclaim(kFull), 0);
  EXPECT_EQ(evictor_.pending(), 1);
  EXPECT_EQ(shown("revocations_total", {{"outcome", "confirmed"}}), 0);
}

TEST_F(ReclamationTest, ATimeoutReopensTheGateAndALateEndStandsForNobodyElse) {
  runs("new", -1);
  runs("stuck", -1);
  EXPECT_EQ(reclaim(kFull), 1);
  EXPECT_THAT(evicted(), ElementsAre("stuck"));
  now_ += seconds(10);
  EXPECT_EQ(reclaim(kFull), 1) << "ten seconds were enough";
  EXPECT_THAT(evicted(), ElementsAre("new"));
  ends("stuck");
  EXPECT_EQ(evictor_.pending(), 1) << "it is the new one that is waited for";
  EXPECT_EQ(shown("revocations_total", {{"outcome", "timed_out"}}), 1);
  EXPECT_EQ(shown("revocations_total", {{"outcome", "confirmed"}}), 0);
  ends("new");
  EXPECT_EQ(evictor_.pending(), 0);
  EXPECT_EQ(shown("revocations_total", {{"outcome", "confirmed"}}), 1);
  EXPECT_EQ(shown("revocations_issued_total", {{"priority", "-1"}}), 2);
}

TEST_F(ReclamationTest, WhoEndsAtTheMomentItIsAskedIsCountedOnce) {
  runs("quick", -1);
  running_.at("quick")->evict = [this] { evicted_.push_back("quick"); };
  EXPECT_EQ(reclaim(kFull), 1);
  ends("quick");
  EXPECT_EQ(evictor_.pending(), 0);
  EXPECT_EQ(shown("revocations_total", {{"outcome", "confirmed"}}), 1);
  EXPECT_EQ(shown("revocation_confirmation_seconds_count"), 1);
}

TEST_F(ReclamationTest, WithoutVictimsNothingIsWaitedFor) {
  EXPECT_EQ(reclaim(kFull), 0);
  runs("late", -1);
  EXPECT_EQ(reclaim(kFull), 1) << "the empty decision closed no gate";
  EXPECT_THAT(evicted(), ElementsAre("late"));
  EXPECT_THAT(evicted(), IsEmpty());
}

}  // namespace
}  // namespace llmd::picker
