#include "netif/gate_filters.hpp"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>

#include <algorithm>
#include <cerrno>

namespace vigil::netif {
namespace {

// Our place in a hook: nothing has a higher priority than 1, and a filter added to the same priority
// goes before those already there (cls_bpf), so that ours comes first when it is added last.
constexpr std::uint32_t filter_priority = 1;
constexpr std::uint32_t filter_handle = 0x5647;
constexpr std::size_t expected_interfaces = 256;

// Of <linux/bpf.h> since 6.6; the headers that we build with may be older than the kernel.
constexpr int tcx_ingress = 46;
constexpr int tcx_egress = 47;

using TrafficAttributes = NetlinkAttributes<TCA_CHAIN>;
using BpfAttributes = NetlinkAttributes<TCA_BPF_ID>;

const char* text_of(Direction direction) { return direction == Direction::ingress ? "ingress" : "egress"; }

std::string place_of(int ifindex, Direction direction) {
  return std::string(text_of(direction)) + " of " + interface_text(ifindex);
}

std::uint32_t parent_of(Direction direction) {
  return TC_H_MAKE(TC_H_CLSACT, direction == Direction::ingress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
}

tcmsg filter_header(int ifindex, Direction direction, std::uint32_t priority, std::uint32_t handle) {
  tcmsg header{};
  header.tcm_family = AF_UNSPEC;
  header.tcm_ifindex = ifindex;
  header.tcm_parent = parent_of(direction);
  header.tcm_handle = handle;
  header.tcm_info = priority == 0 ? 0 : TC_H_MAKE(priority << 16, htons(ETH_P_ALL));
  return header;
}

bool is_gone(int code) { return code == ENODEV || code == ENXIO; }

bool exists(int ifindex) {
  char name[IF_NAMESIZE];
  return ::if_indextoname(static_cast<unsigned>(ifindex), name) != nullptr;
}

// Reads one RTM_NEWTFILTER; false for the line that only introduces a priority, without a filter.
struct FilterView {
  const tcmsg* header = nullptr;
  std::string_view kind;
  std::string_view name;
  std::uint32_t program_id = 0;
  std::uint32_t flags = 0;
};

bool read_filter(const nlmsghdr& message, FilterView& result) {
  result.header = family_header<tcmsg>(message);
  if (message.nlmsg_type != RTM_NEWTFILTER || result.header == nullptr) return false;
  const auto attributes = TrafficAttributes::of<tcmsg>(message);
  if (result.header->tcm_handle == 0 && !attributes.has(TCA_OPTIONS)) return false;
  result.kind = attributes.text(TCA_KIND);
  if (result.kind != "bpf") return true;
  const auto options = attributes.bytes(TCA_OPTIONS);
  const BpfAttributes bpf(options.data(), options.size());
  result.name = bpf.text(TCA_BPF_NAME);
  result.program_id = bpf.value<std::uint32_t>(TCA_BPF_ID, 0);
  result.flags = bpf.value<std::uint32_t>(TCA_BPF_FLAGS, 0);
  return true;
}

NetlinkRequest filter_dump(int ifindex, Direction direction) {
  NetlinkRequest request(RTM_GETTFILTER, 0, filter_header(ifindex, direction, 0, 0));
  request.attribute(TCA_CHAIN, std::uint32_t{0});  // packets enter at chain 0
  return request;
}

}  // namespace

Result<GateFilters> GateFilters::open(const GateProgram& program) {
  Result<NetlinkSocket> netlink = NetlinkSocket::open();
  if (!netlink) return netlink.error();
  GateFilters result(program);
  result.netlink_ = std::move(*netlink);
  result.links_.reserve(expected_interfaces);
  return result;
}

void GateFilters::note_link(const nlmsghdr& message) {
  const auto* header = family_header<ifinfomsg>(message);
  if (message.nlmsg_type != RTM_NEWLINK || header == nullptr || header->ifi_family != AF_UNSPEC) return;
  if ((header->ifi_flags & IFF_LOOPBACK) != 0) return;
  const int ifindex = header->ifi_index;
  const auto is_it = [&](const Link& link) { return link.ifindex == ifindex; };
  auto found = std::find_if(links_.begin(), links_.end(), is_it);
  if (found == links_.end()) {
    links_.push_back(Link{.ifindex = ifindex});
    found = links_.end() - 1;
  }
  const auto attributes = NetlinkAttributes<IFLA_XDP>::of<ifinfomsg>(message);
  const auto xdp = attributes.bytes(IFLA_XDP);
  const NetlinkAttributes<IFLA_XDP_ATTACHED> about_xdp(xdp.data(), xdp.size());
  found->present = true;
  found->layer = header->ifi_type == ARPHRD_ETHER ? LinkLayer::ethernet : LinkLayer::bare;
  // Not every event tells it (wireless ones do not).
  if (attributes.has(IFLA_XDP)) found->has_xdp = about_xdp.value<std::uint8_t>(IFLA_XDP_ATTACHED, 0) != 0;
}

Status GateFilters::read_links() {
  int code = EINTR;
  for (int attempt = 0; attempt < 5 && code == EINTR; ++attempt) {
    for (Link& link : links_) link.present = false;
    NetlinkRequest request(RTM_GETLINK, 0, ifinfomsg{});
    request.attribute(IFLA_EXT_MASK, std::uint32_t{RTEXT_FILTER_SKIP_STATS});
    code = netlink_.dump(request, [this](const nlmsghdr& message) { note_link(message); });
  }
  if (code != 0) return Error::from_errno("listing the interfaces that need a lease gate", code);
  std::erase_if(links_, [](const Link& link) { return !link.present; });
  return {};
}

Status GateFilters::attach_one(const Link& link, Direction direction) {
  const LoadedProgram& program = program_->program(direction, link.layer);
  NetlinkRequest request(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL,
                         filter_header(link.ifindex, direction, filter_priority, filter_handle));
  request.text(TCA_KIND, "bpf");
  const std::size_t options = request.begin_nest(TCA_OPTIONS);
  request.attribute(TCA_BPF_FD, static_cast<std::uint32_t>(program.fd));
  request.text(TCA_BPF_NAME, program.name.view());
  request.attribute(TCA_BPF_FLAGS, std::uint32_t{TCA_BPF_FLAG_ACT_DIRECT});
  request.end_nest(options);
  const int code = netlink_.request(request);
  // One that is there already is ours or not: verification tells.
  if (code == 0 || code == EEXIST) return {};
  Error error = Error::from_errno("attaching the lease gate to " + place_of(link.ifindex, direction), code);
  error.message += netlink_.explanation() + "; what is in its way: tc qdisc show, tc filter show";
  return error;
}

Status GateFilters::attach_link(Link& link) {
  tcmsg header{};
  header.tcm_family = AF_UNSPEC;
  header.tcm_ifindex = link.ifindex;
  header.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
  header.tcm_parent = TC_H_CLSACT;
  NetlinkRequest request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, header);
  request.text(TCA_KIND, "clsact");
  const int code = netlink_.request(request);
  // An old "ingress" qdisc in its place makes the egress filter fail below, with the kernel's words.
  if (code != 0 && code != EEXIST) {
    Error error =
        Error::from_errno("preparing " + interface_text(link.ifindex) + " for the lease gate (qdisc clsact)", code);
    error.message += netlink_.explanation();
    return error;
  }
  for (const Direction direction : both_directions) {
    Status attached = attach_one(link, direction);
    if (!attached) return attached;
  }
  link.attached = true;
  return {};
}

Result<GateFilters::FirstFilter> GateFilters::first_filter(const Link& link, Direction direction) {
  FirstFilter first;
  const std::uint32_t our_id = program_->program(direction, link.layer).id;
  NetlinkRequest request = filter_dump(link.ifindex, direction);
  const int code = netlink_.dump(request, [&](const nlmsghdr& message) {
    FilterView filter;
    if (!read_filter(message, filter)) return;
    if (first.exists) {
      first.ours_behind = first.ours_behind || filter.program_id == our_id;
      return;
    }
    first.exists = true;
    first.program_id = filter.program_id;
    first.direct_action = (filter.flags & TCA_BPF_FLAG_ACT_DIRECT) != 0;
    first.priority = static_cast<std::uint16_t>(TC_H_MAJ(filter.header->tcm_info) >> 16);
    first.kind.assign(filter.kind);
    first.name.assign(filter.name);
  });
  if (code == 0) return first;
  return Error::from_errno("reading the filters on " + place_of(link.ifindex, direction), code);
}

Status GateFilters::no_tcx_before(const Link& link, Direction direction) const {
  const auto type = static_cast<bpf_attach_type>(direction == Direction::ingress ? tcx_ingress : tcx_egress);
  std::uint32_t count = 0;
  // EINVAL: a kernel older than tcx, which has none; ENODEV: the interface has just gone.
  if (bpf_prog_query(link.ifindex, type, 0, nullptr, nullptr, &count) != 0) {
    if (errno == EINVAL || is_gone(errno)) return {};
    return Error::from_errno("asking for tcx programs on " + place_of(link.ifindex, direction), errno);
  }
  if (count == 0) return {};
  return Error::of("on " + place_of(link.ifindex, direction) + ", " + std::to_string(count) +
                   " tcx program(s) run before the lease gate, so a lease proves nothing there; detach them "
                   "(bpftool net show)");
}

Status GateFilters::verify_link(const Link& link, bool& lost) {
  if (link.has_xdp)
    return Error::of("an XDP program on " + interface_text(link.ifindex) +
                     " can pass packets by the lease gate; detach it (ip link set dev <device> xdp off)");
  for (const Direction direction : both_directions) {
    Result<FirstFilter> first = first_filter(link, direction);
    if (!first) return first.error();
    const std::uint32_t our_id = program_->program(direction, link.layer).id;
    const bool is_ours = first->exists && first->program_id == our_id && first->direct_action;
    if (!is_ours) {
      lost = !first->ours_behind;
      if (!first->exists)
        return Error::of("the lease gate on " + place_of(link.ifindex, direction) + " is gone; somebody removed it");
      return Error::of("on " + place_of(link.ifindex, direction) + ", filter " +
                       (first->name.empty() ? first->kind.str() : first->name.str()) + " (priority " +
                       std::to_string(first->priority) + ") " + (lost ? "has taken the place of" : "comes before") +
                       " the lease gate; remove it, or give it a lower precedence (tc filter show)");
    }
    Status no_tcx = no_tcx_before(link, direction);
    if (!no_tcx) return no_tcx;
  }
  return {};
}

Status GateFilters::attach(int ifindex) {
  Status read = read_links();
  if (!read) return read;
  for (Link& link : links_) {
    if (link.ifindex != ifindex) continue;
    Status attached = link.attached ? Status() : attach_link(link);
    bool lost = false;
    return attached ? verify_link(link, lost) : attached;
  }
  return Error{"attaching the lease gate: there is no interface " + std::to_string(ifindex) + " that needs one",
               ENODEV};
}

Status GateFilters::look_at(Link& link) {
  link.due = false;
  Status result = link.attached ? Status() : attach_link(link);
  bool lost = false;
  if (result) result = verify_link(link, lost);
  if (lost) link.attached = false;
  if (!result && !exists(link.ifindex)) return {};  // an interface that has just gone needs no gate
  return result;
}

Status GateFilters::verify() {
  Status result = read_links();
  if (!result) return result;
  relist_ = false;
  for (Link& link : links_) {
    const Status one = look_at(link);
    if (result) result = one;
  }
  return result;
}

Status GateFilters::begin_sweep() {
  relist_ = false;
  Status read = read_links();
  for (Link& link : links_) link.due = true;
  return read;
}

void GateFilters::note_event(const nlmsghdr& message) {
  const bool about_link = message.nlmsg_type == RTM_NEWLINK || message.nlmsg_type == RTM_DELLINK;
  int ifindex = 0;
  if (about_link) {
    const auto* header = family_header<ifinfomsg>(message);
    if (header == nullptr || header->ifi_family != AF_UNSPEC) return;  // a bridge's word about its port
    ifindex = header->ifi_index;
  } else if (const auto* header = family_header<tcmsg>(message); header != nullptr) {
    ifindex = header->tcm_ifindex;
  }
  if (message.nlmsg_type == RTM_NEWLINK) note_link(message);
  if (message.nlmsg_type == RTM_DELLINK) {
    std::erase_if(links_, [ifindex](const Link& link) { return link.ifindex == ifindex; });
    return;
  }
  const auto found = std::find_if(links_.begin(), links_.end(), [ifindex](const Link& link) { return link.ifindex == ifindex; });
  if (found != links_.end())
    found->due = true;
  else if (!about_link)
    relist_ = true;  // filters of a block that interfaces share, or of an interface not told of yet
}

bool GateFilters::is_due() const {
  return relist_ || std::any_of(links_.begin(), links_.end(), [](const Link& link) { return link.due; });
}

Status GateFilters::verify_due() {
  Status result;
  if (relist_) result = begin_sweep();
  std::size_t left = std::max(links_a_turn, links_.size() / turns_a_sweep);
  for (std::size_t looked = 0; looked < links_.size() && left > 0; ++looked) {
    next_ = next_ + 1 < links_.size() ? next_ + 1 : 0;
    if (!links_[next_].due) continue;
    --left;
    const Status one = look_at(links_[next_]);
    if (result) result = one;
  }
  return result;
}

Status GateFilters::detach_all() {
  Result<int> removed = remove_stale_gates();
  if (!removed) return removed.error();
  for (Link& link : links_) link.attached = false;
  return {};
}

namespace {

struct OldFilter {
  std::uint32_t info = 0;
  std::uint32_t handle = 0;
};

Result<int> remove_gates_from(NetlinkSocket& netlink, int ifindex, Direction direction) {
  BoundedVector<OldFilter, 64> old;
  NetlinkRequest listing = filter_dump(ifindex, direction);
  int code = netlink.dump(listing, [&](const nlmsghdr& message) {
    FilterView filter;
    if (!read_filter(message, filter) || !filter.name.starts_with(gate_program_prefix)) return;
    (void)old.try_push({filter.header->tcm_info, filter.header->tcm_handle});
  });
  if (code != 0 && !is_gone(code))
    return Error::from_errno("reading the filters on " + place_of(ifindex, direction), code);
  for (const OldFilter& filter : old) {
    tcmsg header = filter_header(ifindex, direction, 0, filter.handle);
    header.tcm_info = filter.info;
    NetlinkRequest removal(RTM_DELTFILTER, 0, header);
    removal.text(TCA_KIND, "bpf");
    code = netlink.request(removal);
    if (code != 0 && code != ENOENT && !is_gone(code))
      return Error{"removing the lease gate that an earlier Vigil left on " + place_of(ifindex, direction) + ": " +
                       std::strerror(code) + netlink.explanation(),
                   code};
  }
  return static_cast<int>(old.size());
}

}  // namespace

Result<int> remove_stale_gates() {
  Result<NetlinkSocket> netlink = NetlinkSocket::open();
  if (!netlink) return netlink.error();
  std::vector<int> interfaces;
  NetlinkRequest listing(RTM_GETLINK, 0, ifinfomsg{});
  const int code = netlink->dump(listing, [&](const nlmsghdr& message) {
    const auto* header = family_header<ifinfomsg>(message);
    if (message.nlmsg_type == RTM_NEWLINK && header != nullptr) interfaces.push_back(header->ifi_index);
  });
  if (code != 0 && code != EINTR)
    return Error::from_errno("listing the interfaces that may carry an old lease gate", code);
  int removed = 0;
  for (const int ifindex : interfaces) {
    for (const Direction direction : both_directions) {
      Result<int> here = remove_gates_from(*netlink, ifindex, direction);
      if (!here) return here;
      removed += *here;
    }
  }
  return removed;
}

}  // namespace vigil::netif
