#include "drivers/serial/serial_link.hpp"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "runtime/loop/clock.hpp"

namespace vigil {

namespace {

struct Speed {
  std::uint32_t baud;
  speed_t code;
};
constexpr Speed speeds[] = {
    {1200, B1200},       {2400, B2400},       {4800, B4800},       {9600, B9600},       {19200, B19200},
    {38400, B38400},     {57600, B57600},     {115200, B115200},   {230400, B230400},   {460800, B460800},
    {500000, B500000},   {576000, B576000},   {921600, B921600},   {1000000, B1000000}, {1152000, B1152000},
    {1500000, B1500000}, {2000000, B2000000}, {2500000, B2500000}, {3000000, B3000000}, {3500000, B3500000},
    {4000000, B4000000},
};

const Speed* speed_of(std::uint32_t baud) {
  for (const Speed& speed : speeds)
    if (speed.baud == baud) return &speed;
  return nullptr;
}

}  // namespace

Result<std::unique_ptr<Link>> SerialLink::create(const SerialLinkOptions& options) {
  const std::string what = "cannot set up serial heartbeats on '" + options.device.str() + "'";
  if (options.device.empty()) return Error::of(what + ": no `device` in the configuration");
  if (options.peer == no_node) return Error::of(what + ": no `peer` in the configuration");
  if (speed_of(options.baud) == nullptr)
    return Error::of(what + ": " + std::to_string(options.baud) +
                     " is no standard speed; use 9600, 19200, 38400, 57600, 115200, 230400, 460800 or 921600");
  return std::unique_ptr<Link>(std::make_unique<SerialLink>(options));
}

SerialLink::SerialLink(const SerialLinkOptions& options) : Link(LinkKind::serial, options.index), options_(options) {}

SerialLink::~SerialLink() { SerialLink::close(); }

Status SerialLink::set_line(int fd) const {
  const std::string what = "cannot use " + options_.device.str() + " as a serial line";
  termios line{};
  if (::tcgetattr(fd, &line) != 0) return Error::from_errno(what + " (is it a tty?)", errno);
  ::cfmakeraw(&line);
  line.c_cflag |= CLOCAL | CREAD;
  line.c_cflag &= ~static_cast<tcflag_t>(CRTSCTS | CSTOPB | HUPCL);
  line.c_cc[VMIN] = 1;
  line.c_cc[VTIME] = 0;
  ::cfsetispeed(&line, speed_of(options_.baud)->code);
  ::cfsetospeed(&line, speed_of(options_.baud)->code);
  if (::tcsetattr(fd, TCSANOW, &line) != 0)
    return Error::from_errno(what + " at " + std::to_string(options_.baud) + " baud", errno);
  // What lies there is from before our time.
  ::tcflush(fd, TCIOFLUSH);
  return {};
}

Status SerialLink::start() {
  const std::string what = "cannot open serial line " + options_.device.str();
  Fd line(::open(options_.device.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  if (!line) return Error::from_errno(what + " (correct `device` in the configuration, or attach it)", errno);
  if (Status status = set_line(line.get()); !status) return status;
  line_ = std::move(line);
  if (Status watched = watch(); !watched) {
    close();
    return watched;
  }
  decoder_.reset();
  usual_bytes_ = 0;
  out_size_ = out_at_ = 0;
  waiting_.clear();
  return {};
}

Status SerialLink::watch() {
  if (quiet() == nullptr) {
    Result<SourceId> came = ring().watch_once(line_.get(), POLLIN, *this, line_tag);
    if (!came) return came.error();
    line_source_ = *came;
  }
  for (const auto& [timer, tag] : {std::pair{&pace_, pace_tag}, {&rest_, rest_tag}}) {
    Result<SourceId> made = ring().timer(*this, tag);
    if (!made) return made.error();
    *timer = *made;
  }
  if (quiet() != nullptr) rest();
  return {};
}

void SerialLink::close() {
  if (!line_) return;
  for (SourceId* source : {&line_source_, &room_source_, &pace_, &rest_}) {
    if (source->valid()) ring().remove(*source);
    *source = {};
  }
  // Without this, closing a line whose other end has stopped reading could wait for its queue to empty.
  ::tcflush(line_.get(), TCOFLUSH);
  line_.reset();
  set_usable(false);
}

void SerialLink::fail(int error) {
  ++counters_.receive_errors;
  counters_.last_error = error;
  close();
}

// ---- out -------------------------------------------------------------------------------------------

SendOutcome SerialLink::send(std::span<const std::byte> frame, NodeId to) {
  VIGIL_ASSERT(frame.size() >= frame_layout::smallest && frame.size() <= limits::frame_bytes);
  if (!usable()) return SendOutcome::unusable;
  if (to != everyone && !reaches(to)) return SendOutcome::not_reachable;
  if (waiting_.full()) {
    waiting_.erase(static_cast<std::size_t>(gives_way_.below(waiting_.size())));
    ++counters_.send_dropped;
  }
  Waiting newest;
  newest.size = frame.size();
  std::memcpy(newest.bytes.data(), frame.data(), frame.size());
  waiting_.push(newest);
  pump();
  if (!usable()) return SendOutcome::failed;
  return waiting_.empty() ? SendOutcome::sent : SendOutcome::queued;
}

// Hands the tty what it may have now: the rest of a frame begun, or the next one when it is empty.
void SerialLink::pump() {
  while (write_out() && !waiting_.empty()) {
    if (const std::size_t unsent = unsent_in_tty(); unsent > 0) {
      ring().set_timer(pace_, boottime_now() + serial_time(unsent, options_.baud));
      return;
    }
    const Waiting& next = waiting_[0];
    out_size_ = serial_encode(std::span(next.bytes).first(next.size), out_);
    out_at_ = 0;
    waiting_.erase(0);
  }
}

// True when no frame is half written and the line is open. Otherwise POLLOUT tells when to go on: asked for only
// then, because a tty tells it of every byte that leaves.
bool SerialLink::write_out() {
  while (out_at_ < out_size_) {
    const ssize_t written = ::write(line_.get(), out_.data() + out_at_, out_size_ - out_at_);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {
      wait_for_room();
      return false;
    }
    if (written < 0) {
      ++counters_.send_errors;
      fail(errno);
      return false;
    }
    if (written == 0) return false;
    out_at_ += static_cast<std::size_t>(written);
    if (out_at_ == out_size_) ++counters_.frames_sent;
  }
  return true;
}

// Pseudo-terminals say 0: they hand over at once.
std::size_t SerialLink::unsent_in_tty() const {
  int bytes = 0;
  if (::ioctl(line_.get(), TIOCOUTQ, &bytes) != 0 || bytes < 0) return 0;
  return static_cast<std::size_t>(bytes);
}

void SerialLink::wait_for_room() {
  if (room_source_.valid()) return ring().watch_again(room_source_);
  if (Result<SourceId> room = ring().watch_once(line_.get(), POLLOUT, *this, room_tag); room)
    room_source_ = *room;
  else
    fail(ENOMEM);
}

void SerialLink::on_ready(std::uint32_t tag, std::uint32_t) {
  if (tag == line_tag)
    receive();
  else
    pump();
}

void SerialLink::on_timer(std::uint32_t tag) {
  if (tag == rest_tag)
    receive();
  else
    pump();
}

// ---- in --------------------------------------------------------------------------------------------

void SerialLink::look() {
  if (line_ && quiet() != nullptr) receive();
}

// Half of what a tty holds for us (N_TTY_BUF_SIZE, 4 KiB) may come meanwhile. A line that alone is left carries votes.
void SerialLink::rest() {
  constexpr std::size_t most_bytes = 2048;
  constexpr Duration longest = Duration::from_ms(50);
  ring().set_timer(rest_, boottime_now() + shorter(serial_time(most_bytes, options_.baud), longest));
}

// A line brings its bytes one by one or in small portions. Far less than what the kernel holds for us comes while
// nobody looks.
void SerialLink::receive() {
  constexpr std::size_t most_bytes = 128;
  const bool came = drain();
  if (!line_) return;
  if (quiet() != nullptr) return rest();
  const std::size_t begun = decoder_.pending();
  if (!came || begun == 0) return ring().watch_again(line_source_);
  const std::size_t left = usual_bytes_ > begun ? std::min(usual_bytes_ - begun, most_bytes) : most_bytes;
  ring().set_timer(rest_, boottime_now() + serial_time(left, options_.baud));
}

// Reads what is there, at most some 4 KiB at a turn, so that noise on a line cannot hold up the loop. True when
// anything came.
bool SerialLink::drain() {
  std::array<std::byte, 512> bytes;
  for (int turn = 0; turn < 8; ++turn) {
    const ssize_t size = ::read(line_.get(), bytes.data(), bytes.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return turn > 0;
    if (size <= 0) {  // end of file, EIO: the other end of a pseudo-terminal, or the device, is gone
      fail(size == 0 ? EPIPE : errno);
      return turn > 0;
    }
    const Instant received = boottime_now();
    for (std::size_t i = 0; i < static_cast<std::size_t>(size); ++i) {
      const auto frame = decoder_.push(bytes[i]);
      if (!frame) continue;
      if (frame->size() < frame_layout::smallest) {
        ++counters_.malformed;
        continue;
      }
      ++counters_.frames_received;
      usual_bytes_ = frame->size() + serial_overhead_bytes;
      sink().on_frame(index(), *frame, received, received, LinkSource{});
      if (!line_) return true;  // the sink closed us
    }
    counters_.malformed += decoder_.malformed() + decoder_.crc_errors() - decoder_errors_seen_;
    decoder_errors_seen_ = decoder_.malformed() + decoder_.crc_errors();
    if (static_cast<std::size_t>(size) < bytes.size()) return true;
  }
  return true;
}

}  // namespace vigil
