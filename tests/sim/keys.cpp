// What a daemon's shell does in a rotation of the cluster key (runtime/node/key_keeper.hpp): it makes the next key,
// fetches it, has it on its disk before it says so, sends under it when the committed record says that all hold it, and
// forgets the old one. The phases are the core's.
#include <cstring>

#include "tests/sim/world.hpp"

namespace vigil::sim {

namespace {

// As in runtime/node/key_keeper.cpp.
constexpr Duration repeat = Duration::from_ms(200);
constexpr Duration write_again = Duration::from_s(1);
constexpr Duration patience = Duration::from_s(10);
constexpr SimTime recent = 2'000'000'000;

std::uint8_t successor(std::uint8_t id) { return static_cast<std::uint8_t>(id % 255 + 1); }
SimKey next_of(const KeyState& state) { return {state.next, state.print}; }

}  // namespace

// A member, and with a quorum: who has lost it cannot know what became of the view.
bool World::serves_by_key(const Host& host) const {
  return host.core->committed().view.holds(host.id, host.incarnation) &&
         machines_[host.id].clock.at(now_) < host.core->lease_until();
}

void World::keys_start(Host& host) {
  host.key = {};
  host.key.keys = host.key_file;
  host.key.sending = host.key_file.active;
  host.key.heard_under.fill(-recent);
}

void World::key_changed(Host& host) {
  KeyKeeping& key = host.key;
  ++key.changes;
  key.due = true;
  checker_.keys_changed(now_, host.id, key.keys, key.sending);
  if (!key.write_under_way) write_keys(host);
}

void World::write_keys(Host& host) {
  KeyKeeping& key = host.key;
  key.write_under_way = true;
  key.storing = key.changes;
  key.writing = key.keys;
  key.write_ok = now_ >= host.mischief.full_disk_until && !host.mischief.write_fails;
  const bool slow = now_ < host.mischief.slow_writes_until;
  at(now_ + (slow ? some_time() : about(scenario_.disk_ns)), What::keys_stored, host.id);
}

// Whoever is awake or not, the file is replaced now.
void World::keys_stored(const Entry& entry) {
  Host& host = hosts_[entry.node];
  if (entry.life != host.life) return;
  if (host.key.write_ok) host.key_file = host.key.writing;
  hand_over(host, entry);
}

void World::keys_told(Host& host) {
  KeyKeeping& key = host.key;
  key.write_under_way = false;
  key.failed = !key.write_ok;
  if (!key.failed) key.stored = key.storing;
  key.next_word = {};
  key.next_try = machines_[host.id].clock.at(now_) + write_again;
  if (!key.failed && key.stored != key.changes) write_keys(host);
  follow_keys(host);
}

// A daemon ends, with its machine or without: the replacement that was under way happened, or did not.
void World::keys_end(Host& host) {
  if (host.key.write_under_way && host.key.write_ok && chance(50)) host.key_file = host.key.writing;
  host.key.write_under_way = false;
}

// An operator asks this node for a new key.
void World::rotate_key(Host& host) {
  if (!host.core || blocked(host)) return;
  KeyKeeping& key = host.key;
  const Record& record = host.core->committed();
  const Instant now = machines_[host.id].clock.at(now_);
  if (!serves_by_key(host) || key.begun || record.state.keys.phase != KeyPhase::settled ||
      key.sending != key.keys.active)
    return;
  const std::uint8_t id = successor(key.keys.active);
  key.keys.remove(id);  // of a rotation that was given up
  key.begun = true;
  key.begun_key = {id, random_.next() | 1};
  key.give_up = now + patience;
  key.keys.add(key.begun_key);
  trace_.line(now_, host.id, "makes key %u", id);
  key_changed(host);
  follow_keys(host);
}

void World::tell_of_key(Host& host, KeyStep step, SimKey key) {
  const Record& record = host.core->committed();
  const Instant now = machines_[host.id].clock.at(now_);
  if (!serves_by_key(host) || now < host.key.next_word) return;
  host.key.next_word = now + repeat;
  send_message(host, {record.view.coordinator, KeyReport{step, key.id, host.key.sending, key.print}});
}

// Key and record are on the disk.
bool World::may_tell_of_key(const Host& host, const KeyState& state) const {
  const KeyState& known = host.core->stored_keys();
  return host.key.stored == host.key.changes && !state.done.has(host.id) && known.phase == state.phase &&
         next_of(known) == next_of(state);
}

void World::follow_keys(Host& host) {
  if (!host.core || blocked(host) || !scenario_.rotates) return;
  KeyKeeping& key = host.key;
  const KeyState state = host.core->committed().state.keys;
  const Instant now = machines_[host.id].clock.at(now_);
  if (key.due) key.next_word = {};
  key.due = false;
  key.recorded = host.core->stored_keys();
  if (key.failed && !key.write_under_way && now >= key.next_try) key_changed(host);
  if (key.begun) follow_begun(host, state);
  switch (state.phase) {
    case KeyPhase::settled:
      return follow_settled(host, state);
    case KeyPhase::spreading:
      // The next one was sent under before, and somebody joined who does not hold it.
      if (key.keys.find(state.active) != nullptr) send_under(host, state.active);
      if (!key.keys.holds(next_of(state)))
        return state.done.has(host.id) ? tell_of_key(host, KeyStep::lacks, next_of(state)) : ask_for_key(host, state);
      if (may_tell_of_key(host, state)) tell_of_key(host, KeyStep::holds, next_of(state));
      return;
    case KeyPhase::switching:
      if (!key.keys.holds(next_of(state))) return ask_for_key(host, state);
      send_under(host, state.next);
      if (may_tell_of_key(host, state)) tell_of_key(host, KeyStep::sends, next_of(state));
  }
}

void World::send_under(Host& host, std::uint8_t id) {
  KeyKeeping& key = host.key;
  if (key.sending != id) {
    trace_.line(now_, host.id, "sends under key %u from now on", id);
    key.sending = id;
    key.sending_since = now_;
    checker_.keys_changed(now_, host.id, key.keys, key.sending);
  }
  if (key.keys.active == id) return;
  key.keys.active = id;
  key_changed(host);
}

void World::follow_begun(Host& host, const KeyState& state) {
  KeyKeeping& key = host.key;
  if (next_of(state) == key.begun_key) {
    key.begun = false;
    return;
  }
  const bool outrun = state.phase != KeyPhase::settled;
  if (outrun || machines_[host.id].clock.at(now_) >= key.give_up) {
    key.begun = false;
    if (!outrun) return;  // it may have been proposed, and be decided yet
    key.keys.remove(key.begun_key.id);
    return key_changed(host);
  }
  if (key.stored == key.changes) tell_of_key(host, KeyStep::begin, key.begun_key);
}

void World::follow_settled(Host& host, const KeyState& state) {
  KeyKeeping& key = host.key;
  key.asking = false;
  if (state.active == 0 || key.keys.find(state.active) == nullptr) return;
  send_under(host, state.active);
  // Who has just come back may hold a record from before the next key was decided on.
  const std::uint8_t to_come = serves_by_key(host) ? std::uint8_t{0} : successor(state.active);
  const std::size_t before = key.keys.held.size();
  for (std::size_t i = before; i-- > 0;) {
    const std::uint8_t id = key.keys.held[i].id;
    if (id != state.active && id != to_come && !(key.begun && key.begun_key.id == id)) key.keys.held.erase(i);
  }
  if (key.keys.held.size() == before) return;
  trace_.line(now_, host.id, "refuses all keys before %u", state.active);
  key_changed(host);
}

// ---- from member to member ------------------------------------------------------------------------

void World::ask_for_key(Host& host, const KeyState& state) {
  KeyKeeping& key = host.key;
  const Record& record = host.core->committed();
  const Instant now = machines_[host.id].clock.at(now_);
  if (!serves_by_key(host) || now < key.next_word) return;
  key.next_word = now + repeat;
  if (key.keys.find(state.next) != nullptr) {  // of a rotation that was given up
    if (key.keys.active == state.next) return;
    key.keys.remove(state.next);
    key_changed(host);
  }
  if (!key.asking) key.one_time = random_.next();
  key.asking = true;
  KeyAsk ask;
  ask.id = state.next;
  std::memcpy(ask.public_key.data(), &key.one_time, sizeof key.one_time);
  const NodeSet members = record.view.members;
  for (const NodeId holder : members)
    if (holder != host.id && (state.phase == KeyPhase::switching || state.done.has(holder)))
      send_message(host, {holder, ask});
}

// The shell's own messages, which no core sees. False: it is the core's.
bool World::heard_of_key(Host& host, NodeId from, Incarnation incarnation, const Message& message) {
  const auto* ask = std::get_if<KeyAsk>(&message);
  const auto* offer = std::get_if<KeyOffer>(&message);
  if (ask == nullptr && offer == nullptr) return false;
  KeyKeeping& key = host.key;
  const Record& record = host.core->committed();
  const KeyState& state = record.state.keys;
  if (state.phase == KeyPhase::settled) return true;
  if (ask != nullptr) {
    const bool members = serves_by_key(host) && record.view.holds(from, incarnation);
    if (!members || ask->id != state.next || !key.keys.holds(next_of(state))) return true;
    KeyOffer answer;
    answer.id = ask->id;
    std::memcpy(answer.sealed.data(), ask->public_key.data(), sizeof key.one_time);
    std::memcpy(answer.sealed.data() + sizeof key.one_time, &state.print, sizeof state.print);
    send_message(host, {from, answer});
    return true;
  }
  std::uint64_t sealed_to = 0;
  SimKey offered{offer->id, 0};
  std::memcpy(&sealed_to, offer->sealed.data(), sizeof sealed_to);
  std::memcpy(&offered.print, offer->sealed.data() + sizeof sealed_to, sizeof offered.print);
  if (!key.asking || sealed_to != key.one_time || offered != next_of(state) || key.keys.find(offered.id) != nullptr)
    return true;
  trace_.line(now_, host.id, "is given key %u by node %d", offered.id, from + 1);
  key.asking = false;
  key.keys.add(offered);
  key_changed(host);
  follow_keys(host);
  return true;
}

// ---- frames ---------------------------------------------------------------------------------------

SimKey World::sealing_key(const Host& host) const {
  const SimKey* key = host.key.keys.find(host.key.sending);
  return key == nullptr ? SimKey{} : *key;
}

// Does the receiver accept frames under this key?
bool World::opens(Host& host, NodeId from, SimKey key) {
  if (!host.key.keys.holds(key)) return false;
  host.key.heard_under[key.id % 16] = now_;
  host.key.sealed_by[from] = {key.id, now_};
  return true;
}

// Who is in the view goes by its record, unless those that know of a newer one send under the next key.
bool World::led_to(const Host& host, std::uint8_t next) const {
  if (!host.core->committed().view.holds(host.id, host.incarnation))
    return now_ - host.key.heard_under[next % 16] < recent;
  const NodeSet not_ahead = host.core->not_ahead();
  for (std::size_t i = 0; i < host.key.sealed_by.size(); ++i) {
    const auto& sealed = host.key.sealed_by[i];
    if (sealed.key == next && now_ - sealed.at < recent && !not_ahead.has(static_cast<NodeId>(i))) return true;
  }
  return false;
}

// Who has no lease sends under the key under which it hears the others, if it holds that: under the next one at once,
// back only when nobody is heard under its own.
void World::follow_frames(Host& host) {
  KeyKeeping& key = host.key;
  if (serves_by_key(host)) return;
  const auto heard_of_late = [&](std::uint8_t id) { return now_ - key.heard_under[id % 16] < recent; };
  std::uint8_t heard = 0;
  const std::uint8_t next = successor(key.sending);
  if (key.keys.find(next) != nullptr && led_to(host, next)) {
    heard = next;
  } else if (!heard_of_late(key.sending) && now_ - key.sending_since >= recent) {
    for (const SimKey& held : key.keys.held)
      if (heard_of_late(held.id)) heard = held.id;
  }
  if (heard == 0) return;
  trace_.line(now_, host.id, "hears the others under key %u, and sends under it", heard);
  key.sending = heard;
  key.sending_since = now_;
  checker_.keys_changed(now_, host.id, key.keys, key.sending);
}

void World::key_tick(Host& host) {
  at(now_ + Duration::from_ms(100).ns, What::key_tick, host.id);
  if (blocked(host) || !host.core) return;
  follow_keys(host);
  if (host.core) follow_frames(host);
}

// ---- after the faults -----------------------------------------------------------------------------

// To nodes that were away while the key was changed, the operator copies the file of one that was not.
void World::copy_key_files(const Record& record) {
  const KeyState& state = record.state.keys;
  std::uint8_t active = state.phase == KeyPhase::switching ? state.next : state.active;
  // Never rotated, as far as it knows: others may have been, without it.
  const bool outrun = active == 0;
  if (outrun) active = hosts_[record.view.coordinator].key.sending;
  const Host* source = nullptr;
  for (const NodeId node : record.view.members)
    if (hosts_[node].key_file.find(active) != nullptr) source = &hosts_[node];
  if (source == nullptr) return;
  for (std::size_t i = 0; i < scenario_.nodes; ++i) {
    Host& host = hosts_[i];
    const bool is_member = record.view.holds(host.id, host.incarnation) && !outrun;
    if (host.key.keys.holds(*source->key_file.find(active)) || is_member) continue;
    trace_.line(now_, host.id, "is given the key file of node %d by the operator", source->id + 1);
    daemon_crash(host, scenario_.interval_ns());
    host.key_file = source->key_file;
  }
}

// A node that was vouched for is started where it hears the one that goes on without it, as the operator was told: with that
// one's key file, should the key have been changed without either.
void World::start_in_hearing(Host& host, const Host& other) {
  host.vouched_by = no_node;
  const SimKey* key = other.key_file.find(other.key_file.active);
  if (!scenario_.rotates || key == nullptr || host.key_file.holds(*key)) return;
  trace_.line(now_, host.id, "is given the key file of node %d by the operator", other.id + 1);
  host.key_file = other.key_file;
}

bool World::keys_are_settled(const Record& record, std::string& why) const {
  const KeyState& state = record.state.keys;
  if (state.phase != KeyPhase::settled) {
    why = "the rotation to key " + std::to_string(state.next) + " does not end";
    return false;
  }
  if (state.active == 0) return true;
  // The operator may have put the file of one that missed the rotation in the place of the only ones that did not.
  const bool held = std::any_of(hosts_.begin(), hosts_.begin() + static_cast<std::ptrdiff_t>(scenario_.nodes),
                                [&](const Host& host) { return host.key.keys.find(state.active) != nullptr; });
  const std::uint8_t active = held ? state.active : hosts_[record.view.coordinator].key.sending;
  for (std::size_t i = 0; i < scenario_.nodes; ++i) {
    const Host& host = hosts_[i];
    const bool alone = host.key.keys.held.size() == 1 && host.key_file.held.size() == 1;
    if (host.key.sending == active && host.key_file.active == active && alone) continue;
    why = "node " + std::to_string(i + 1) + " still has another key than " + std::to_string(active);
    return false;
  }
  return true;
}

}  // namespace vigil::sim
