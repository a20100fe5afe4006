// Golden scenario files: text, events in, effects out.
//
//   nodes alpha beta           lines before the first event set the stage
//   > event with its words     an event …
//     what came of it          … and, indented, what must come of it, exactly
//
// With VIGIL_UPDATE_SCENARIOS=1 in the environment the files are written anew with what came out; the
// difference is then for a person to judge.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace vigil::testing {

struct GoldenStep {
  std::vector<std::string> comments;  // lines kept above the event
  std::string event;
  std::vector<std::string> expected;
};

struct GoldenFile {
  std::string path;
  std::vector<std::string> stage;  // the lines before the first event, verbatim
  std::vector<GoldenStep> steps;
  std::vector<std::string> rest;
};

inline GoldenFile read_golden(const std::string& path) {
  GoldenFile file;
  file.path = path;
  std::ifstream in(path);
  std::vector<std::string> pending;
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("> ", 0) == 0) {
      if (file.steps.empty()) {
        file.stage = pending;
        file.steps.push_back({{}, line.substr(2), {}});
      } else {
        file.steps.push_back({pending, line.substr(2), {}});
      }
      pending.clear();
    } else if (line.rfind("  ", 0) == 0 && !file.steps.empty() && pending.empty()) {
      file.steps.back().expected.push_back(line.substr(2));
    } else {
      pending.push_back(line);
    }
  }
  file.rest = pending;
  return file;
}

inline void write_golden(const GoldenFile& file) {
  std::ofstream out(file.path);
  for (const std::string& line : file.stage) out << line << '\n';
  for (const GoldenStep& step : file.steps) {
    for (const std::string& line : step.comments) out << line << '\n';
    out << "> " << step.event << '\n';
    for (const std::string& line : step.expected) out << "  " << line << '\n';
  }
  for (const std::string& line : file.rest) out << line << '\n';
}

// Plays every *.txt under the directory, each with a new Player: set(line) for the stage, then play(event), which
// returns what came of it. True when there were files and all came out as written; prints what did not.
template <typename Player>
bool scenarios_come_out_as_written(const std::string& directory) {
  const bool update = std::getenv("VIGIL_UPDATE_SCENARIOS") != nullptr;
  std::vector<std::string> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error))
    if (entry.path().extension() == ".txt") paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  int differences = 0;
  for (const std::string& path : paths) {
    GoldenFile file = read_golden(path);
    Player player;
    for (const std::string& line : file.stage) player.set(line);
    for (GoldenStep& step : file.steps) {
      const std::vector<std::string> came = player.play(step.event);
      if (update) step.expected = came;
      if (came == step.expected) continue;
      ++differences;
      std::fprintf(stderr, "%s: > %s\n", path.c_str(), step.event.c_str());
      for (const std::string& line : step.expected) std::fprintf(stderr, "  expected: %s\n", line.c_str());
      for (const std::string& line : came) std::fprintf(stderr, "  came:     %s\n", line.c_str());
    }
    if (update) write_golden(file);
  }
  return !paths.empty() && differences == 0;
}

}  // namespace vigil::testing
