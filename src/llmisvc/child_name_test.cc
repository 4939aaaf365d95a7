#include "llmisvc/child_name.h"

#include <gtest/gtest.h>

namespace llmd::llmisvc {
namespace {

struct Vector {
  std::string parent;
  std::string suffix;
  std::string name;
};

class ChildName : public testing::TestWithParam<Vector> {};

TEST_P(ChildName, EqualsKServes) {
  EXPECT_EQ(child_name(GetParam().parent, GetParam().suffix), GetParam().name);
}

const std::string kLong = "llama-3-1-405b-instruct-fp8-disaggregated-production";

INSTANTIATE_TEST_SUITE_P(
    Vectors, ChildName,
    testing::Values(
        Vector{"my-llm", "-kserve", "my-llm-kserve"},
        Vector{std::string(63, 'f'), "-deployment",
               "ffffffffffffffffffff105d7597f637e83cc711605ac3ea4957-deployment"},
        Vector{"a", std::string(63, 'f'), "ab5cfd486935decbc0d305799f4ce4414ffffffffffffffffffffffffffffff"},
        Vector{std::string(17, 'a'), "a.-.-.-.-.-.-." + std::string(37, 'a'),
               "aaaaaaaaaaaaaaaaaa1eb10dc911444f8434af83b7225442da"},
        Vector{kLong, "-kserve", kLong + "-kserve"},
        Vector{kLong, "-kserve-workload-svc",
               "llama-3-1-456ff44559d67db0fe9dab4d46043f486-kserve-workload-svc"},
        Vector{kLong, "-inference-pool", "llama-3-1-405b-i56ff44559d67db0fe9dab4d46043f486-inference-pool"},
        Vector{kLong, "-kserve-self-signed-certs",
               "llama-56ff44559d67db0fe9dab4d46043f486-kserve-self-signed-certs"}));

TEST(ChildNameLength, NeverExceedsADnsLabel) {
  for (std::size_t parent = 1; parent < 80; ++parent) {
    for (std::size_t suffix = 0; suffix < 80; ++suffix) {
      EXPECT_LE(child_name(std::string(parent, 'p'), std::string(suffix, 's')).size(), 63U);
    }
  }
}

}  // namespace
}  // namespace llmd::llmisvc
