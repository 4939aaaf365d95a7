// The arguments of a command, bound to variables. Each variable's value beforehand is its default and is
// shown in the help unless it is empty or negative. CLI11 does the work; only options.cc pays for its header.
//
//   Options options("llmd get", "Lists objects.");
//   options.positional("KIND", kind, "llmisvc, pods, ...").required();
//   options.add("-n,--namespace", name_space, "only this namespace");
//   LLMD_TRY(const bool go_on, options.parse(arguments));
//   if (!go_on) return 0;
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace llmd::cli {

class Options {
 public:
  // One option while it is being described.
  class Description {
   public:
    explicit Description(CLI::Option* option) : option_(option) {}
    Description& required();
    Description& one_of(const std::vector<std::string>& values);
    Description& between(double least, double most);  // the help says so

   private:
    CLI::Option* option_;
  };

  Options(std::string program, std::string purpose);
  ~Options();
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;

  // `names` as "-n,--namespace"; several spellings of one option are fine. A bool is a flag. A vector takes
  // every word that follows, and may be given several times.
  Description add(const std::string& names, std::string& value, const std::string& help);
  Description add(const std::string& names, std::vector<std::string>& values, const std::string& help);
  Description add(const std::string& names, int& value, const std::string& help);
  Description add(const std::string& names, std::uint16_t& value, const std::string& help);
  Description add(const std::string& names, double& value, const std::string& help);
  Description add(const std::string& names, bool& value, const std::string& help);
  // A word without dashes, by its place.
  template <typename T>
  Description positional(const std::string& name, T& value, const std::string& help) {
    return add(name, value, help);
  }

  // Of an option that is given several times the last value counts, as Go's programs do it; otherwise that is
  // a mistake. For options that are added from here on.
  void let_last_win();

  // False: help was asked for and has been printed. Mistakes are InvalidArgument with the nearest option as
  // advice.
  Result<bool> parse(Arguments arguments);

 private:
  std::unique_ptr<CLI::App> app_;
};

}  // namespace llmd::cli
