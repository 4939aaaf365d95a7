#include "metrics/page_filter.h"

#include <gtest/gtest.h>

#include <vector>

namespace llmd::metrics {
namespace {

constexpr std::string_view kPage = R"(# HELP a First.
# TYPE a gauge
a{x="b c"} 1
a 2
# HELP h Second.
# TYPE h histogram
h_bucket{le="1"} 1
h_bucket{le="+Inf"} 1
h_sum 1
h_count 1
# HELP c Third.
# TYPE c counter
c_total 3
)";

std::string select(std::vector<std::string> names) {
  return select_samples(kPage, names);
}

TEST(PageFilterTest, KeepsSamplesByTheirNameOrTheirFamilys) {
  EXPECT_EQ(select({"a"}), "# HELP a First.\n# TYPE a gauge\na{x=\"b c\"} 1\na 2\n");
  EXPECT_EQ(select({"h_sum", "c_total"}),
            "# HELP h Second.\n# TYPE h histogram\nh_sum 1\n# HELP c Third.\n# TYPE c counter\nc_total 3\n");
  EXPECT_EQ(select({"a", "h", "c"}), kPage);
  EXPECT_EQ(select({"b", "First."}), "");
  EXPECT_EQ(select({}), "");
}

}  // namespace
}  // namespace llmd::metrics
