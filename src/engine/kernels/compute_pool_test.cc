#include "engine/kernels/compute_pool.h"

#include <gtest/gtest.h>

#include <fstream>
#include <numeric>

#include "engine/kernels/cores.h"

namespace llmd::engine {
namespace {

class Teams : public ::testing::TestWithParam<int> {};

TEST_P(Teams, DoEveryUnitOnceAndSeeWhatOthersWrote) {
  ComputePool pool(GetParam());
  constexpr int kUnits = 1000;
  std::vector<int> first(kUnits);
  std::vector<int> second(kUnits);
  for (int step = 1; step <= 200; ++step) {
    pool.run([&](Worker& worker) {
      worker.share(kUnits, 7, [&](int unit) { first[static_cast<std::size_t>(unit)] += unit; });
      worker.share(kUnits, 1, [&](int unit) {
        second[static_cast<std::size_t>(unit)] = first[static_cast<std::size_t>(kUnits - 1 - unit)];
      });
    });
    for (int unit = 0; unit < kUnits; ++unit) {
      ASSERT_EQ(second[static_cast<std::size_t>(unit)], step * (kUnits - 1 - unit));
    }
  }
}

TEST_P(Teams, AcceptLoopsWithoutUnits) {
  ComputePool pool(GetParam());
  int calls = 0;
  pool.run([&](Worker& worker) {
    worker.share(0, 1, [&](int) { ++calls; });
    worker.share(1, 1, [&](int) { ++calls; });
  });
  EXPECT_EQ(calls, 1);
}

INSTANTIATE_TEST_SUITE_P(ComputePool, Teams, ::testing::Values(1, 2, 3, 8));

// A machine as its files show it.
class FakeRoot {
 public:
  FakeRoot() {
    std::string name = (std::filesystem::temp_directory_path() / "llmd-root-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~FakeRoot() { std::filesystem::remove_all(path_); }
  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories((path_ / path).parent_path());
    std::ofstream(path_ / path) << text;
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

TEST(UsableCores, RoundAGroupsQuotaUp) {
  const FakeRoot root;
  root.write("proc/self/cgroup", "0::/kubepods/pod1\n");
  root.write("sys/fs/cgroup/kubepods/pod1/cpu.max", "50000 100000\n");
  EXPECT_EQ(usable_cores(root.path()), 1);
}

TEST(UsableCores, FindTheLimitOfAGroupAbove) {
  const FakeRoot root;
  root.write("proc/self/cgroup", "0::/kubepods/pod1\n");
  root.write("sys/fs/cgroup/kubepods/cpu.max", "100000 100000\n");
  root.write("sys/fs/cgroup/kubepods/pod1/cpu.max", "max 100000\n");
  EXPECT_EQ(usable_cores(root.path()), 1);
}

TEST(UsableCores, ReadTheFirstVersionOfControlGroups) {
  const FakeRoot root;
  root.write("proc/self/cgroup", "4:memory:/a\n3:cpu,cpuacct:/docker/x\n");
  root.write("sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us", "90000\n");
  root.write("sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(usable_cores(root.path()), 1);
}

TEST(UsableCores, AreAtLeastOneWithoutAnyLimit) {
  const FakeRoot root;
  EXPECT_GE(usable_cores(root.path()), 1);
}

}  // namespace
}  // namespace llmd::engine
