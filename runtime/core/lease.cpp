#include "runtime/core/lease.hpp"

#include <algorithm>

#include "runtime/base/seeded_bugs.hpp"

namespace vigil {

void LeaseHolder::on_acknowledged(Instant now, NodeId voter, Epoch epoch, Instant sent) {
  if (voter >= limits::max_nodes || epoch != epoch_ || sent > now) return;
  if (seeded_bug(Bug::renew_from_own_clock_at_ack)) sent = now;
  acknowledged_[voter] = later(acknowledged_[voter], sent);
}

void LeaseHolder::on_view(const View& view) {
  if (view.epoch == epoch_) return;
  epoch_ = view.epoch;
  const Instant own = acknowledged_[self_];
  acknowledged_.fill(Instant{});
  acknowledged_[self_] = own;
}

bool LeaseHolder::recompute(const View& view) {
  if (!view.members.has(self_) || view.rule.needed == 0) return false;
  // The newest send time that members with `needed` votes have acknowledged. One vote each for now:
  // the needed-th newest. Never acknowledged (zero) sorts last.
  std::array<Instant, limits::max_nodes> times{};
  std::size_t count = 0;
  for (NodeId node : view.members)
    if (view.rule.voters.has(node)) times[count++] = acknowledged_[node];
  const std::size_t needed = seeded_bug(Bug::lease_survives_quorum_loss) ? 1 : view.rule.needed;
  if (count < needed) return false;
  std::sort(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(count), [](Instant a, Instant b) { return b < a; });
  const Instant start = times[needed - 1];
  if (start.ns <= 0) return false;
  const Instant until = start + lease_;
  if (until <= until_) return false;
  until_ = until;
  return true;
}

void LeaseHolder::surrender() {
  acknowledged_.fill(Instant{});
  until_ = Instant{};
}

bool LeaseVoter::acknowledge(Instant now, NodeId node, Duration length) {
  if (!kept_.has(node) && !seeded_bug(Bug::ack_after_expel_vote)) return false;
  if (length.ns <= 0 || length > longest_lease) return false;
  if (seeded_bug(Bug::record_ack_once) && over_at_[node] > now) return true;
  over_at_[node] = later(over_at_[node], now + (seeded_bug(Bug::remainder_without_drift) ? length : outlast(length)));
  return true;
}

void LeaseVoter::leases_left(Instant now, NodeSet members, LeasesLeft& out) const {
  for (std::size_t node = 0; node < limits::max_nodes; ++node) {
    if (members.has(static_cast<NodeId>(node)) || over_at_[node] <= now) continue;
    out.push({static_cast<NodeId>(node), over_at_[node] - now});
  }
}

}  // namespace vigil
