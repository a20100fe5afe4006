// One source of a ring, for a part that may have to leave the loop before it ends. It is dropped by the loop's
// thread, on purpose: the destructor, which another thread may run, leaves the ring alone.
#pragma once

#include "runtime/loop/ring.hpp"

namespace vigil {

class Registration {
 public:
  Status hold(Ring& ring, const Result<SourceId>& source) {
    if (!source) return source.error();
    ring_ = &ring;
    source_ = *source;
    return {};
  }
  void drop() {
    if (ring_ != nullptr) ring_->remove(source_);
    ring_ = nullptr;
  }

 private:
  Ring* ring_ = nullptr;
  SourceId source_;
};

}  // namespace vigil
