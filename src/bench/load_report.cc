#include "bench/load_report.h"

#include "base/strings.h"
#include "json/codec.h"

namespace llmd::bench {

BOOST_DESCRIBE_STRUCT(Percentiles, (), (p50, p90, p99, max, mean))
BOOST_DESCRIBE_STRUCT(ProcessReport, (),
                      (name, pid, processes, cpu_ms, cpu_ms_per_request, cores, rss_bytes, pss_bytes))
BOOST_DESCRIBE_STRUCT(LoadReport, (),
                      (url, mode, concurrency, rate, seconds, requests, failed, requests_per_second,
                       events_per_second, events_per_request, first_token_ms, latency_ms, gap_ms, errors,
                       error_examples, processes, client_cpu_ms_per_request, client_cores))

namespace {

double milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

double per(double amount, double count) {
  return count > 0 ? amount / count : 0;
}

Percentiles percentiles_of(const LatencyHistogram& histogram) {
  return {.p50 = milliseconds(histogram.quantile(0.5)),
          .p90 = milliseconds(histogram.quantile(0.9)),
          .p99 = milliseconds(histogram.quantile(0.99)),
          .max = milliseconds(histogram.max()),
          .mean = milliseconds(histogram.mean())};
}

void write_line(std::string& text, std::string_view name, const Percentiles& times) {
  text += fmt::format("{:<15}p50 {:9.3f}   p90 {:9.3f}   p99 {:9.3f}   max {:9.3f}   mean {:9.3f} ms\n", name,
                      times.p50, times.p90, times.p99, times.max, times.mean);
}

}  // namespace

LoadReport make_report(const LoadOptions& options, const LoadResult& result, const Usage& before,
                       const Usage& after) {
  const double seconds = std::chrono::duration<double>(result.elapsed).count();
  const auto count = static_cast<double>(result.succeeded);
  LoadReport report{.url = fmt::format("{}://{}{}", options.tls ? "https" : "http",
                                       options.address.to_string(), options.target),
                    .mode = options.rate ? "open" : "closed",
                    .concurrency = options.concurrency,
                    .rate = options.rate.value_or(0),
                    .seconds = seconds,
                    .requests = result.succeeded,
                    .failed = result.failed,
                    .requests_per_second = per(count, seconds),
                    .events_per_second = per(static_cast<double>(result.events), seconds),
                    .events_per_request = per(static_cast<double>(result.events), count),
                    .first_token_ms = percentiles_of(result.first_token),
                    .latency_ms = percentiles_of(result.latency),
                    .gap_ms = percentiles_of(result.gaps),
                    .errors = result.errors,
                    .error_examples = result.examples};
  for (std::size_t i = 0; i < std::min(before.trees.size(), after.trees.size()); ++i) {
    const double cpu = milliseconds(after.trees[i].cpu - before.trees[i].cpu);
    report.processes.push_back({.name = options.processes[i].name,
                                .pid = options.processes[i].pid,
                                .processes = after.trees[i].processes,
                                .cpu_ms = cpu,
                                .cpu_ms_per_request = per(cpu, count),
                                .cores = per(cpu / 1000, seconds),
                                .rss_bytes = after.trees[i].rss_bytes,
                                .pss_bytes = after.trees[i].pss_bytes});
  }
  const double own = milliseconds(after.own - before.own);
  report.client_cpu_ms_per_request = per(own, count);
  report.client_cores = per(own / 1000, seconds);
  return report;
}

std::string to_json(const LoadReport& report) {
  return json::write_pretty(json::encode(report));
}

std::string to_text(const LoadReport& report) {
  std::string text = fmt::format("{}\n", report.url);
  text += report.mode == "open" ? fmt::format("open loop, {} requests/s asked for", report.rate)
                                : fmt::format("closed loop, {} clients", report.concurrency);
  text += fmt::format(", {:.2f} s: {} requests ({:.1f}/s), {} failed\n", report.seconds, report.requests,
                      report.requests_per_second, report.failed);
  write_line(text, "first token", report.first_token_ms);
  write_line(text, "whole answer", report.latency_ms);
  if (report.events_per_request > 0) {
    write_line(text, "between tokens", report.gap_ms);
    text += fmt::format("{:<15}{:.1f} per request, {:.0f}/s\n", "stream events", report.events_per_request,
                        report.events_per_second);
  }
  for (const ProcessReport& process : report.processes) {
    text += fmt::format("{:<15}{:.4f} ms CPU per request, {:.2f} cores, RSS {}, PSS {} ({} processes)\n",
                        process.name, process.cpu_ms_per_request, process.cores,
                        human_bytes(process.rss_bytes), human_bytes(process.pss_bytes), process.processes);
  }
  text += fmt::format("{:<15}{:.4f} ms CPU per request, {:.2f} cores\n", "load generator",
                      report.client_cpu_ms_per_request, report.client_cores);
  for (const auto& [kind, count] : report.errors) {
    text += fmt::format("error: {} × {}: {}\n", count, kind, report.error_examples.at(kind));
  }
  return text;
}

}  // namespace llmd::bench
