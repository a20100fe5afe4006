// Decides how far a rotation of the cluster key has come: what the coordinator makes of the members' words.
//
//     settled --begin--> spreading --all members hold it--> switching --all members send under it--> settled
//                            |  ^                           |
//                            |  +---- a stranger joins -----+
//                            +-- nobody who holds it is left: given up
//
// The phase and who has done its part are committed cluster state, so a coordinator that dies leaves a rotation
// that the next one goes on with, and the members' words are repeated until the record shows them. A mixed
// state splits nothing: nobody sends under the next key before every member has it on its disk and accepts
// frames under it, and nobody refuses the old one before every member sends under the next. Whoever joins
// meanwhile is a member too, and is waited for; whoever leaves is not.
//
// Pure. The key itself is never here: its id and fingerprint are.
#pragma once

#include "runtime/base/message.hpp"
#include "runtime/base/record.hpp"

namespace vigil {

// Takes one member's word into the draft. Whatever does not fit the phase is an old word, and ignored.
void apply_key_report(NodeId from, const KeyReport& report, KeyState& keys);

// A view is to take `joining` in; `before` were members, and `kept` of them in the same life. Who was no member may not hold
// the next key, and would hear nobody once it is sent under: it spreads once more, from those who have it on their disks.
// Where nobody of these was kept, they are among the ones that join. Members that are back in new lives had the next key on
// their disks before it was sent under: it goes on being sent under, for one of them may have refused the old one already.
void let_join(NodeSet before, NodeSet kept, NodeSet joining, KeyState& keys);

// The next phase, where the members are through with this one.
void advance_keys(NodeSet members, KeyState& keys);

}  // namespace vigil
