// What a disk answers about its reservations. First byte: to which question. Whatever it says, nothing is made up: no more
// keys and paths than there are bytes for, and no reservation of a type that is none.
#include "disk/persistent_reservation.hpp"
#include "tests/fuzz/wire_fuzz.hpp"

namespace {

using namespace vigil;
using Answer = std::span<const std::uint8_t>;

void keys(Answer answer) {
  const auto found = disk::decode_keys(answer);
  if (!found) return;
  fuzz::require(found->keys.size() * 8 + 8 <= answer.size(), "each key has its bytes");
  fuzz::require(found->keys.size() * 8 + 8 <= found->needed, "the header counts them");
}

void reservation(Answer answer) {
  const auto held = disk::decode_reservation(answer);
  if (!held || !held->held) return;
  fuzz::require(disk::to_string(held->type) != "unknown", "SPC-4 knows the type");
  fuzz::require(!disk::held_by_all(held->type) || held->key == 0, "nobody's key where all hold it");
}

void full_status(Answer answer) {
  const auto status = disk::decode_full_status(answer);
  if (!status) return;
  fuzz::require(status->registrations.size() * 24 + 8 <= answer.size(), "each path has its bytes");
  for (const disk::Registration& path : status->registrations) {
    fuzz::require(path.holder == path.type.has_value(), "a holder holds something");
    for (const char c : path.initiator) fuzz::require(c >= 0x20 && c < 0x7f, "names can be printed");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Answer answer(data + 1, size - 1);
  switch (data[0] % 4) {
    case 0: keys(answer); break;
    case 1: reservation(answer); break;
    case 2: (void)disk::decode_capabilities(answer).ok(); break;
    default: full_status(answer);
  }
  return 0;
}
