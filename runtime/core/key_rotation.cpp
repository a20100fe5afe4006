#include "runtime/core/key_rotation.hpp"

#include "runtime/base/seeded_bugs.hpp"

namespace vigil {

void apply_key_report(NodeId from, const KeyReport& report, KeyState& keys) {
  if (report.step == KeyStep::begin) {
    if (keys.phase != KeyPhase::settled || report.id == 0 || report.id == report.sending) return;
    if (keys.active != 0 && report.sending != keys.active) return;  // it is behind: first it follows
    keys = {KeyPhase::spreading, report.sending, report.id, report.print, NodeSet::of(from)};
    return;
  }
  const KeyPhase fits = report.step == KeyStep::sends ? KeyPhase::switching : KeyPhase::spreading;
  if (keys.phase != fits || report.id != keys.next || report.print != keys.print) return;
  if (report.step == KeyStep::lacks) return keys.done.remove(from);
  if (report.step == KeyStep::sends && report.sending != report.id) return;
  keys.done.add(from);
}

void let_join(NodeSet before, NodeSet kept, NodeSet joining, KeyState& keys) {
  if (joining.empty()) return;
  if (keys.phase == KeyPhase::switching && before.includes(joining))
    keys.done = keys.done - joining;
  else if (keys.phase == KeyPhase::switching && !seeded_bug(Bug::joins_while_switching))
    keys = {KeyPhase::spreading, keys.active, keys.next, keys.print, before & (kept | joining)};
  if (keys.phase == KeyPhase::spreading && keys.done.intersects(kept)) keys.done = keys.done - joining;
}

void advance_keys(NodeSet members, KeyState& keys) {
  if (keys.phase == KeyPhase::spreading && !keys.done.intersects(members))
    keys = {KeyPhase::settled, keys.active, 0, 0, {}};
  else if (keys.phase == KeyPhase::spreading &&
           (keys.done.includes(members) || seeded_bug(Bug::sends_before_all_hold)))
    keys = {KeyPhase::switching, keys.active, keys.next, keys.print, {}};
  else if (keys.phase == KeyPhase::switching &&
           (keys.done.includes(members) || (seeded_bug(Bug::settles_before_all_send) && !keys.done.empty())))
    keys = {KeyPhase::settled, keys.next, 0, 0, {}};
}

}  // namespace vigil
