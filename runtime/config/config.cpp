#include "runtime/config/config.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "runtime/config/derive.hpp"
#include "runtime/config/document.hpp"
#include "runtime/config/draft.hpp"

namespace vigil {

namespace {

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

LoadedConfig unreadable(const std::string& path, int code) {
  LoadedConfig loaded;
  loaded.diagnostics.push_back({path, 0, 0,
                                std::string("cannot read the configuration: ") + std::strerror(code) +
                                    "; expected a readable file, the same on every node",
                                Severity::error});
  return loaded;
}

}  // namespace

std::string LoadedConfig::report() const {
  std::string text;
  for (const Diagnostic& diagnostic : diagnostics) text += to_string(diagnostic) + "\n";
  return text;
}

LoadedConfig parse_config(std::string_view text, std::string_view file_name) {
  Diagnostics diagnostics(base_name(file_name));
  LoadedConfig loaded;
  const Value root = parse_document(text, diagnostics);
  if (diagnostics.errors() == 0) {
    auto config = std::make_unique<ClusterConfig>();
    const Draft draft = read_draft(root, diagnostics);
    resolve(draft, *config, diagnostics);
    if (diagnostics.errors() == 0) {
      derive_links(*config);
      config->cluster_id = cluster_id_of(config->name.view());
      config->hash = hash_of(*config);
      warn(draft, *config, diagnostics);
      loaded.config = std::move(config);
    }
  }
  loaded.diagnostics = diagnostics.take();
  return loaded;
}

LoadedConfig load_config(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return unreadable(path, errno);
  std::string text(max_document_bytes + 1, '\0');  // one more, so that a longer file is seen to be longer
  const std::size_t size = std::fread(text.data(), 1, text.size(), file);
  const int code = std::ferror(file) != 0 ? errno : 0;
  std::fclose(file);
  if (code != 0) return unreadable(path, code);
  text.resize(size);
  return parse_config(text, path);
}

}  // namespace vigil
