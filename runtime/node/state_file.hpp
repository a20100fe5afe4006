// Keeps what this node must not forget on stable storage, without blocking the loop: two slots written
// in turn (runtime/wire/store.hpp), write and fsync by the ring. States that arrive while a write is
// under way replace each other; the newest is written next.
#pragma once

#include <optional>
#include <string>

#include "runtime/base/result.hpp"
#include "runtime/core/event.hpp"
#include "runtime/loop/fd.hpp"
#include "runtime/loop/ring.hpp"
#include "runtime/wire/store.hpp"

namespace vigil {

class StateFileListener {
 public:
  virtual ~StateFileListener() = default;
  virtual void on_stored(std::uint64_t token, bool ok) = 0;
};

class StateFile : private RingHandler {
 public:
  // Opens (or makes) `path` and reads it. A file that cannot be trusted is an error that says so: the node
  // must not run on a guess.
  static Result<std::unique_ptr<StateFile>> open(const std::string& path, const wire::StoreOwner& owner);

  // Lets go of the lock at once, unless a write is under way: the kernel may hold the file a little longer than we do.
  ~StateFile();
  StateFile(const StateFile&) = delete;
  StateFile& operator=(const StateFile&) = delete;

  bool writing() const { return writing_.has_value(); }
  const StoredState& stored() const { return stored_; }
  bool other_slot_damaged() const { return other_slot_damaged_; }
  void attach(Ring& ring, StateFileListener& listener) {
    ring_ = &ring;
    listener_ = &listener;
  }
  // Answered by on_stored() with this token, or a later one.
  void save(std::uint64_t token, const StoredState& state);

 private:
  StateFile() = default;
  void write_next();
  void on_saved(std::uint32_t tag, int error) override;

  Fd file_;
  wire::StoreOwner owner_;
  StoredState stored_;
  bool other_slot_damaged_ = false;
  std::uint64_t generation_ = 0;
  Ring* ring_ = nullptr;
  StateFileListener* listener_ = nullptr;
  struct Wanted {
    std::uint64_t token = 0;
    StoredState state;
  };
  std::optional<Wanted> wanted_;
  std::optional<std::uint64_t> writing_;
  std::array<std::uint8_t, wire::slot_bytes> slot_{};
};

}  // namespace vigil
