// One journal entry as one JSON object and back: the lines of journal.jsonl, `vigil why --json`, the
// control protocol. Numbers are what counts when reading; names stand beside them for people.
//
//   {"sequence":7,"node":1,"node_name":"alpha","time":"…Z","wall_ns":…,"boot_ns":…,"kind":"decided",
//    "event":"node_down","epoch":5,"proposer":1,"record":2,"group":0,"group_name":"web",
//    "generation":3,"subject":2,"subject_name":"beta","network":0,"network_name":"public",
//    "adapter":0,"duration_us":120,"text":"…",
//    "view":{"step":"accused","why":"silent","before":4,"before_proposer":1,"hearing":[3],"heard":[1,3],
//            "late_us":0,"links":[{"link":0,"by":0,"silent_us":183000}]}}
//
// node, subject and proposer are ids of the configuration file (from 1); group, network and adapter
// are positions in it (from 0). Members that do not apply are left out.
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/cluster.hpp"
#include "runtime/base/journal.hpp"
#include "runtime/base/result.hpp"

namespace vigil::events {

std::string_view to_string(JournalKind kind);
std::string_view to_string(ViewStep step);
std::string_view to_string(Accusation why);
std::string_view to_string(NackReason reason);

// The member "view": what a step of a view change knows (runtime/base/view_facts.hpp), nodes as their ids.
// Members that the step does not fill, and times of what never came, are left out.
std::string to_json(const ViewFacts& facts);

// One line, without a newline. `config` gives the names; null: they are left out.
std::string to_json(const JournalEntry& entry, const ClusterConfig* config);

// Fails on anything that is not an object as above; unknown members are ignored.
Result<JournalEntry> journal_from_json(std::string_view text);

}  // namespace vigil::events
