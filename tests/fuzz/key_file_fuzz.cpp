// Key files. Whatever is in one: keys or a reason, never a crash, and no reason quotes the content. What is read
// is written and read again as the same.
#include <string>

#include "runtime/config/key_file.hpp"
#include "tests/fuzz/wire_fuzz.hpp"

namespace {

using namespace vigil;

std::string text_of(const KeySet& keys) {
  std::string text(KeySet::text_bytes_max, '\0');
  text.resize(keys.write(text));
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string content(reinterpret_cast<const char*>(data), size);
  const Result<KeySet> keys = parse_keys(content, "K");
  if (!keys) {
    const std::size_t digits = content.find_first_of("0123456789abcdefABCDEF");
    if (digits != std::string::npos && content.size() >= digits + 32)
      fuzz::require(keys.error().message.find(content.substr(digits, 32)) == std::string::npos, "no error quotes a key");
    return 0;
  }
  fuzz::require(keys->has(keys->active()), "the active key is held");
  const std::string text = text_of(*keys);
  const Result<KeySet> again = parse_keys(text, "K");
  fuzz::require(again.ok() && text_of(*again) == text, "what is written is read as the same");
  return 0;
}
