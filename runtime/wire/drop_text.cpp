// What the reasons for dropping a frame are called, and what a person does about each.
#include "runtime/wire/session.hpp"

namespace vigil::wire {

namespace {

struct Text {
  std::string_view name;
  std::string_view explanation;
};

constexpr std::array<Text, drop_count> texts{{
    {"none", "the frame was delivered"},
    {"wrong_length", "the frame is shorter or longer than any of ours: it was cut or padded on its way; check the "
                     "adapter's or the serial line's driver"},
    {"wrong_magic", "bytes that are no frame of ours arrived: something else uses this port, EtherType or serial line"},
    {"wrong_version", "its frames are of another protocol version: that node runs a release too far from this one; "
                      "upgrade the older of the two"},
    {"wrong_cluster", "the frame belongs to another cluster on the same network: give each its own name, and better "
                      "its own network"},
    {"other_destination", "the frame is for another node on the same network"},
    {"reflected", "our own frame came back"},
    {"unknown_sender", "its node id is not in this node's cluster.toml: make the files the same"},
    {"unknown_key", "its frames are sealed with a cluster key that this node does not hold: another cluster, or a key "
                    "that was not rotated everywhere; copy key_file from a member to the node that is out"},
    {"wrong_tag", "its frames cannot be authenticated: another cluster, or a key that was not rotated everywhere; "
                  "copy key_file from a member to the node that is out (else they are damaged or forged)"},
    {"malformed", "an authenticated frame makes no sense: a fault in the sender's release; report it"},
    {"wrong_link", "the frame came by a link that the configuration does not join to the sender's: two networks share "
                   "one segment, or cables are swapped"},
    {"handshake", "a hello, dealt with"},
    {"awaits_silence", "the sender was started anew, and its earlier life was heard just now: it counts as over once it "
                       "has been silent for the detection time"},
    {"unknown_incarnation", "the sender was started anew and is being asked to prove it"},
    {"dead_incarnation", "the frame is of an earlier life of its sender: delayed, or a recording"},
    {"before_handshake", "the frame was sent before its sender proved to be alive: it was on its way then, or is a "
                         "recording"},
    {"replayed", "the frame was seen before, or is older than any that could still come: duplicated by the network, "
                 "or a recording"},
    {"late", "the frame was overtaken long ago: heavy reordering, or a recording played on another link"},
    {"stale_challenge", "an answer to a hello came that was not asked, or too late"},
    {"wrong_protocol", "no protocol version is spoken by both nodes: upgrade the older of the two"},
    {"wrong_name", "its node id belongs to another name in its cluster.toml: make the files the same"},
    {"foreign_own_id", "a frame came under this node's own id: of an earlier life of it, or of a second node with "
                       "the same id; it is being asked"},
    {"duplicate_node_id", "two running machines use this node id, and the one that was there first stays: stop the "
                          "other, or give it its own [[node]] in cluster.toml (vigild --node)"},
    {"duplicate_node_name", "that machine goes by the name of another node: its cluster.toml gives the name another "
                            "id; make the files the same, and start it under its own name (vigild --node)"},
    {"unknown_type", "the frame is of a type that this release does not know: the sender runs a newer one; nothing to "
                     "do during an upgrade"},
}};

constexpr bool complete() {
  for (const Text& text : texts)
    if (text.name.empty() || text.explanation.empty()) return false;
  return true;
}
static_assert(complete());

const Text& text_of(Drop drop) {
  VIGIL_ASSERT(drop < Drop::count_);
  return texts[static_cast<std::size_t>(drop)];
}

}  // namespace

std::string_view to_string(Drop drop) { return text_of(drop).name; }
std::string_view explain(Drop drop) { return text_of(drop).explanation; }

}  // namespace vigil::wire
