// A tie-breaker in a file, or on a block device, that all nodes share. A win happens under an exclusive lock of the
// file (open file description locks: they belong to the open file, and end with it, however its process ends), is
// synced, and read back past the cache before it counts. The file is never made here: a missing one is an error,
// for below a mount that is gone each half would make one of its own.
//
// A read takes no lock, so that a node that stops in the middle of a win does not end the life of the one that
// lives by it: slots are whole or refused, and written one after the other. Only when it finds nothing to trust,
// which a win under way can cause, does it wait for the lock and look again.
#pragma once

#include <string>

#include "disk/tie_breaker.hpp"

namespace vigil::disk {

class TieBreakerFile : public TieBreaker {
 public:
  TieBreakerFile(std::string path, std::uint32_t cluster_id) : path_(std::move(path)), cluster_id_(cluster_id) {}

  Result<Epoch> read() override;
  Result<Epoch> win(const Epoch& epoch, const Epoch& known, Instant deadline) override;

 private:
  std::string path_;
  std::uint32_t cluster_id_;
};

}  // namespace vigil::disk
