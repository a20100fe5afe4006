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
    {"wrong_version", "the frame has a layout that this release does not know: that node runs a release too far from "
                      "this one; upgrade the older of the two"},
    {"wrong_cluster", "the frame belongs to another cluster on the same network: give each its own name, and better "
                      "its own network"},
    {"other_destination", "the frame is for another node on the same network"},
    {"reflected", "our own frame came back"},
    {"unknown_sender", "the sender's node id is not in this node's configuration: compare cluster.toml on both"},
    {"unknown_key", "the frame is sealed with a cluster key that this node does not hold: a key was rotated "
                    "elsewhere; install it here too"},
    {"wrong_tag", "the frame cannot be authenticated: the sender has another cluster key (compare key_file on both "
                  "nodes), or the frame was damaged or forged"},
    {"malformed", "an authenticated frame makes no sense: a fault in the sender's release; report it"},
    {"wrong_link", "the frame came by a link that the configuration does not join to the sender's: two networks share "
                   "one segment, or cables are swapped"},
    {"handshake", "a hello, dealt with"},
    {"unknown_incarnation", "the sender was started anew and is being asked to prove it"},
    {"dead_incarnation", "the frame is of an earlier life of its sender: delayed, or a recording"},
    {"before_handshake", "the frame was sent before its sender proved to be alive: it was on its way then, or is a "
                         "recording"},
    {"replayed", "the frame was seen before, or is older than any that could still come: duplicated by the network, "
                 "or a recording"},
    {"late", "the frame was overtaken long ago: heavy reordering, or a recording played on another link"},
    {"stale_challenge", "an answer to a hello came that was not asked, or too late"},
    {"wrong_protocol", "no protocol version is spoken by both nodes: upgrade the older of the two"},
    {"wrong_name", "that node's id belongs to another name in its configuration: compare the [[node]] sections of "
                   "cluster.toml on both"},
    {"foreign_own_id", "a frame came under this node's own id: of an earlier life of it, or of a second node with "
                       "the same id; it is being asked"},
    {"duplicate_node_id", "another running node uses this node's id: two machines think they are the same [[node]]; "
                          "stop one, and give it its own"},
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
