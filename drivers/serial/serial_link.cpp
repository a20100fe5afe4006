#include "drivers/serial/serial_link.hpp"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <termios.h>

#include <cstring>
#include <tuple>
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
  Fd pace(::timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!pace) return Error::from_errno(what + ": no timer", errno);
  Fd rest(::timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!rest) return Error::from_errno(what + ": no timer", errno);
  line_ = std::move(line);
  pace_ = std::move(pace);
  rest_ = std::move(rest);
  Status watched = watch_line();
  for (const auto& [fd, tag, source] : {std::tuple{&pace_, pace_tag, &pace_source_}, {&rest_, rest_tag, &rest_source_}}) {
    if (!watched) break;
    Result<SourceId> made = ring().watch(fd->get(), POLLIN, *this, tag);
    if (made)
      *source = *made;
    else
      watched = made.error();
  }
  if (!watched) {
    close();
    return watched;
  }
  decoder_.reset();
  out_size_ = out_at_ = 0;
  waiting_.clear();
  return {};
}

void SerialLink::close() {
  if (!line_) return;
  for (SourceId* source : {&line_source_, &pace_source_, &rest_source_}) {
    if (source->valid()) ring().remove(*source);
    *source = {};
  }
  // Without this, closing a line whose other end has stopped reading could wait for its queue to empty.
  ::tcflush(line_.get(), TCOFLUSH);
  line_.reset();
  pace_.reset();
  rest_.reset();
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
      set_timer(pace_, serial_time(unsent, options_.baud));
      return;
    }
    const Waiting& next = waiting_[0];
    out_size_ = serial_encode(std::span(next.bytes).first(next.size), out_);
    out_at_ = 0;
    waiting_.erase(0);
  }
}

// True when no frame is half written and the line is open. Otherwise POLLOUT tells when to go on.
bool SerialLink::write_out() {
  while (out_at_ < out_size_) {
    const ssize_t written = ::write(line_.get(), out_.data() + out_at_, out_size_ - out_at_);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) return false;
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

void SerialLink::set_timer(const Fd& timer, Duration delay) {
  itimerspec when{};
  when.it_value.tv_sec = delay.ns / 1'000'000'000;
  when.it_value.tv_nsec = delay.ns % 1'000'000'000;
  ::timerfd_settime(timer.get(), 0, &when, nullptr);
}

// ---- in --------------------------------------------------------------------------------------------

Status SerialLink::watch_line() {
  Result<SourceId> source = ring().watch(line_.get(), POLLIN | POLLOUT, *this, line_tag);
  if (!source) return source.error();
  line_source_ = *source;
  return {};
}

// A line brings its bytes one by one or in small portions: after a read nobody looks until a hundred or so more
// can have come. Far below what the kernel holds for us.
void SerialLink::rest() {
  constexpr std::size_t portion_bytes = 128;
  if (line_source_.valid()) {
    ring().remove(line_source_);
    line_source_ = {};
  }
  set_timer(rest_, serial_time(portion_bytes, options_.baud));
}

void SerialLink::on_ready(std::uint32_t tag, std::uint32_t events) {
  if (tag == line_tag) {
    const bool came = (events & (POLLIN | POLLHUP | POLLERR)) != 0 && drain();
    if (line_ && (events & POLLOUT) != 0) pump();
    if (line_ && came) rest();
    return;
  }
  std::uint64_t expirations = 0;
  while (::read(tag == pace_tag ? pace_.get() : rest_.get(), &expirations, sizeof expirations) > 0) {
  }
  if (tag == rest_tag) {
    const bool came = drain();
    if (!line_) return;
    if (came)
      rest();
    else if (!watch_line())
      return fail(ENOMEM);
  }
  if (line_) pump();
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
      sink().on_frame(index(), *frame, received, LinkSource{});
      if (!line_) return true;  // the sink closed us
    }
    counters_.malformed += decoder_.malformed() + decoder_.crc_errors() - decoder_errors_seen_;
    decoder_errors_seen_ = decoder_.malformed() + decoder_.crc_errors();
  }
  return true;
}

}  // namespace vigil
