// The state file of one node: what its writes leave behind when they end whole, torn or not at all. The
// file is made of the daemon's own slots, and read back by the daemon's own reader, at every start; between
// starts only what was written last is kept.
#pragma once

#include <optional>

#include "runtime/base/random.hpp"
#include "runtime/core/event.hpp"

namespace vigil::sim {

class Disk {
 public:
  // As after the machine's installation: nothing stored but, perhaps, a lease's length.
  void format(const StoredState& state);
  // A write is on stable storage.
  void store(const StoredState& state);
  // The power went while this was being written: any part of it is there.
  void tear(const StoredState& state, Random& random);
  // The file is gone.
  void wipe();

  // What the next start reads. False: the file is refused, or says something that was never stored.
  bool load(std::uint8_t node, StoredState& state);
  bool was_torn() const { return torn_.has_value(); }

 private:
  std::uint64_t generation_ = 0;  // of newest_; 0: nothing was ever written
  StoredState newest_;
  StoredState older_;  // in the other slot
  std::optional<StoredState> torn_;
  std::size_t torn_at_ = 0;  // this many bytes of it were written
};

}  // namespace vigil::sim
