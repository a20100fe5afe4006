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
  tie_breaker_read_ = Instant{};
}

void LeaseHolder::on_tie_breaker(Epoch held, Instant asked) {
  if (held == epoch_) tie_breaker_read_ = later(tie_breaker_read_, asked);
}

// The newest send time that members who are a quorum together have acknowledged at least.
Instant LeaseHolder::acknowledged_by_quorum(const View& view) const {
  std::array<NodeId, limits::max_nodes> nodes{};
  std::size_t count = 0;
  for (NodeId node : view.members)
    if (acknowledged_[node].ns > 0) nodes[count++] = node;
  std::sort(nodes.begin(), nodes.begin() + static_cast<std::ptrdiff_t>(count),
            [this](NodeId a, NodeId b) { return acknowledged_[b] < acknowledged_[a]; });
  NodeSet together;
  Instant by_tie_breaker{};
  for (std::size_t i = 0; i < count; ++i) {
    together.add(nodes[i]);
    const Instant acknowledged = acknowledged_[nodes[i]];
    if (view.is_quorum(together) || seeded_bug(Bug::lease_survives_quorum_loss)) return later(acknowledged, by_tie_breaker);
    if (tie_breaker_read_.ns > 0 && view.lives_by_tie_breaker() && view.is_quorum_holding(together))
      by_tie_breaker = later(by_tie_breaker, earlier(acknowledged, tie_breaker_read_));
  }
  return by_tie_breaker;
}

bool LeaseHolder::recompute(const View& view) {
  if (!view.members.has(self_)) return false;
  // Each voter's word comes by itself, and most change nothing: a quorum must have gone on.
  NodeSet newer;
  for (NodeId node : view.members)
    if (acknowledged_[node] + lease_ > until_) newer.add(node);
  if (!view.is_quorum_holding(newer) && !seeded_bug(Bug::lease_survives_quorum_loss)) return false;
  const Instant start = acknowledged_by_quorum(view);
  if (start.ns <= 0) return false;
  const Instant until = start + lease_;
  if (until <= until_) return false;
  until_ = until;
  return true;
}

void LeaseHolder::surrender() {
  acknowledged_.fill(Instant{});
  tie_breaker_read_ = Instant{};
  until_ = Instant{};
}

bool LeaseVoter::acknowledge(Instant now, NodeId node, Duration length) {
  if (!kept_.has(node) && !seeded_bug(Bug::ack_after_expel_vote)) return false;
  if (length.ns <= 0 || length > longest_lease) return false;
  if (seeded_bug(Bug::record_ack_once) && over_at_[node] > now) return true;
  over_at_[node] = later(over_at_[node], now + (seeded_bug(Bug::remainder_without_drift) ? length : outlast(length)));
  return true;
}

NodeSet LeaseVoter::kept() const {
  return seeded_bug(Bug::ack_after_expel_vote) ? NodeSet::from_bits(~std::uint64_t{0}) : kept_;
}

void LeaseVoter::leases_left(Instant now, NodeSet members, LeasesLeft& out) const {
  for (std::size_t node = 0; node < limits::max_nodes; ++node) {
    if (members.has(static_cast<NodeId>(node)) || over_at_[node] <= now) continue;
    out.push({static_cast<NodeId>(node), over_at_[node] - now});
  }
}

}  // namespace vigil
