// Loads cluster.toml: text in, a checked ClusterConfig or every reason why not out. Decides what a
// valid configuration is; nothing behind it checks again. It never guesses at what was meant, and it
// holds nothing after it returns.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/cluster.hpp"
#include "runtime/config/diagnostic.hpp"

namespace vigil {

struct LoadedConfig {
  std::unique_ptr<const ClusterConfig> config;  // null when any diagnostic is an error
  std::vector<Diagnostic> diagnostics;          // all errors and warnings, in the order of the file

  bool ok() const { return config != nullptr; }
  // One line a finding, each ended by a newline; empty where there is none.
  std::string report() const;
};

// file_name only labels the diagnostics. Needs no privileges, reads nothing.
LoadedConfig parse_config(std::string_view text, std::string_view file_name);

// Reads the file (at most max_document_bytes). A file that cannot be read is one diagnostic without line.
LoadedConfig load_config(const std::string& path);

}  // namespace vigil
