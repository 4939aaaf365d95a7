// Bucket bounds as llm-d's picker has them, to the last number: dashboards with fixed bounds find them.
// Private to picker.
#pragma once

#include <array>

namespace llmd::picker::buckets {

inline constexpr std::array kRequestSeconds = {
    .005,  .025,  .05,   .1,    .2,    .4,    .6,    .8,     1.0,    1.25,   1.5,   2.0,
    3.0,   4.0,   5.0,   6.0,   8.0,   10.0,  15.0,  20.0,   30.0,   45.0,   60.0,  120.0,
    180.0, 240.0, 300.0, 360.0, 480.0, 600.0, 900.0, 1200.0, 1800.0, 2700.0, 3600.0};
inline constexpr std::array kFirstTokenSeconds = {.005, .025, .05,  .1,   .2,   .4,   .6,   .8,
                                                  1.0,  1.25, 1.5,  2.0,  3.0,  4.0,  5.0,  6.0,
                                                  8.0,  10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 120.0};
inline constexpr std::array kTokenSeconds = {.0005, .00205, .005, .01,  .02,   .04,   .06,   .08,  .1,
                                             .125,  .15,    .2,   .3,   .4,    .5,    .6,    .8,   1.0,
                                             1.5,   2.0,    3.0,  4.5,  6.0,   12.0,  18.0,  24.0, 30.0,
                                             36.0,  48.0,   60.0, 90.0, 120.0, 180.0, 270.0, 360.0};
inline constexpr std::array kStreamTokenSeconds = {.0005, .001, .002, .005, .01, .02, .04, .06, .08,
                                                   .1,    .125, .15,  .2,   .3,  .5,  1.0, 2.0};
inline constexpr std::array kPredictionSeconds = {.0001, .0005, .001, .002, .005, .01, .02,
                                                  .05,   .1,    .2,   .5,   1.0,  2.0, 5.0};
inline constexpr std::array kDecisionSeconds = {.0001, .0002, .0005, .001, .002, .005, .01, .02, .05, .1};
inline constexpr std::array kNormalisedSeconds = {.001, .002, .005, .01, .02, .05, .1,
                                                  .2,   .5,   1.0,  2.0, 5.0, 10.0};
inline constexpr std::array kQueueSeconds = {.0001, .0005, .001, .005, .01, .025, .05,  .1,
                                             .25,   .5,    1.0,  2.5,  5.0, 10.0, 30.0, 60.0};
inline constexpr std::array kProcessingSeconds = {.0001, .0005, .001, .0025, .005, .01, .025, .05,
                                                  .1,    .25,   .5,   1.0,   2.5,  5.0, 10.0};
inline constexpr std::array kRatios = {0.0, .1, .2, .3, .4, .5, .6, .7, .8, .9, 1.0};
inline constexpr std::array kHitBytes = {0.0,    16.0,   32.0,   64.0,   128.0,   256.0,   512.0,
                                         1024.0, 2048.0, 4096.0, 8192.0, 16384.0, 32768.0, 65536.0};
// 32778 is upstream's slip of the pen, and by now a name on the wire.
inline constexpr std::array kAnswerBytes = {1.0,    8.0,    16.0,   32.0,   64.0,    128.0,   256.0,  512.0,
                                            1024.0, 2048.0, 4096.0, 8192.0, 16384.0, 32778.0, 65536.0};
inline constexpr std::array kPromptTokens = {
    1.0,    8.0,    16.0,    32.0,    64.0,    128.0,    256.0,    512.0,    1024.0,   2048.0,
    4096.0, 8192.0, 16384.0, 32778.0, 65536.0, 131072.0, 262144.0, 524288.0, 1048576.0};
inline constexpr std::array kAnswerTokens = {1.0,   8.0,   16.0,   32.0,   64.0,   128.0,
                                             256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0};

constexpr auto powers_of_two(double first) {
  std::array<double, 25> bounds{};
  for (double& bound : bounds) {
    bound = first;
    first *= 2;
  }
  return bounds;
}
inline constexpr auto kRequestBytes = powers_of_two(64);

}  // namespace llmd::picker::buckets
