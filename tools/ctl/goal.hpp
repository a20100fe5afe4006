// Decides, from one status picture after the other, whether what the operator asked for has come
// about. Pure; the command that waits does the asking and the printing.
#pragma once

#include <string>

#include "tools/client/client.hpp"

namespace vigil::ctl {

using control::ClusterPicture;

struct Progress {
  enum State { pending, reached, failed } state = pending;
  std::string text;  // one line: what it waits for, or how it ended
};

// `asked`: accepted by the coordinator. A failure is final only once it has lasted a moment: the
// picture may be a little older than the answer.
Progress progress_of(const control::request::Operate& asked, const ClusterPicture& picture);

}  // namespace vigil::ctl
