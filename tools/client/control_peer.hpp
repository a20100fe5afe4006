// Decides what the process at the other end of a control connection may ask, from SO_PEERCRED.
//
// The socket file is root:vigil, mode 0660: the kernel lets only root and members of group `vigil`
// connect at all (supplementary groups included, which SO_PEERCRED does not show). So whoever is
// connected may read, and only root may command. A cluster without the group leaves the file
// root:root.
#pragma once

#include <sys/socket.h>

#include <string_view>
#include <variant>

#include "tools/client/control_protocol.hpp"

namespace vigil::control {

inline constexpr const char* control_group_name = "vigil";
inline constexpr unsigned control_socket_mode = 0660;

enum class Right { read, command };

inline Right right_of(const ucred& peer) { return peer.uid == 0 ? Right::command : Right::read; }

inline bool permits(Right right, const Request& request) {
  const bool commands = std::holds_alternative<request::Operate>(request) || std::holds_alternative<request::RotateKey>(request);
  return right == Right::command || !commands;
}

inline constexpr std::string_view not_permitted_text =
    "only root may command the cluster; members of group vigil may look";

}  // namespace vigil::control
