// A node's cluster keys, as a file and in memory. A key is its id and its fingerprint here: whoever has these has the
// key. What a power cut leaves of a file is the one before or the one after, whole: it is replaced, never written into.
#pragma once

#include <array>
#include <cstdint>

#include "runtime/base/bounded.hpp"
#include "runtime/base/time.hpp"
#include "tests/sim/clock.hpp"

namespace vigil::sim {

struct SimKey {
  std::uint8_t id = 0;
  std::uint64_t print = 0;
  bool operator==(const SimKey&) const = default;
};

struct SimKeys {
  BoundedVector<SimKey, 4> held;
  std::uint8_t active = 0;  // of those that are held: the one that a start sends under

  const SimKey* find(std::uint8_t id) const {
    for (const SimKey& key : held)
      if (key.id == id) return &key;
    return nullptr;
  }
  bool holds(SimKey key) const {
    const SimKey* own = find(key.id);
    return own != nullptr && *own == key;
  }
  void add(SimKey key) {
    if (!held.full()) held.push(key);
  }
  void remove(std::uint8_t id) {
    for (std::size_t i = held.size(); i-- > 0;)
      if (held[i].id == id) held.erase(i);
  }
};

// What a daemon does about its keys, in one life.
struct KeyKeeping {
  SimKeys keys;
  SimKeys writing;           // the file as it is being replaced
  std::uint8_t sending = 0;  // the key that frames leave under
  SimTime sending_since = 0;
  bool write_under_way = false;
  bool write_ok = true;
  std::uint64_t changes = 0;  // of `keys`
  std::uint64_t storing = 0;
  std::uint64_t stored = 0;  // the newest change that is on the disk
  bool failed = false;       // the last write
  bool due = true;           // the record has changed, or something else has
  KeyState recorded;         // what the newest record on the disk said of the keys, when they were followed last
  bool asking = false;
  std::uint64_t one_time = 0;  // what an asked key is sealed to
  bool begun = false;
  SimKey begun_key;
  Instant give_up;
  Instant next_word;
  Instant next_try;
  struct Sealed {
    std::uint8_t key = 0;
    SimTime at = 0;
  };
  std::array<SimTime, 16> heard_under{};               // by the id's last four bits
  std::array<Sealed, limits::max_nodes> sealed_by{};  // the newest frame of each
};

}  // namespace vigil::sim
