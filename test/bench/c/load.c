// SPDX-License-Identifier: Apache-2.0
// A load that plays the shim and costs little: N calls under way on one connection, one write per call as ttrpc's clients
// do it (-batch=N: up to N calls per write), one blocking read when there is nothing to write. Times go into a histogram whose steps are half a percent wide.
#include "bench.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { STEP_BITS = 7, STEPS = 1 << STEP_BITS, MAX_CALLS = 1024, MAX_SIZES = 64, STREAMS = 1 << 16, INPUT = 1 << 20, PATIENCE_S = 30 };

static struct {
  uint64_t counts[(64 - STEP_BITS) * STEPS], total, max, sum;
} times;

static size_t step_of(uint64_t value) {
  if (value < 2 * STEPS) return value;
  int shift = 63 - __builtin_clzll(value) - STEP_BITS;
  return ((size_t)shift << STEP_BITS) + (value >> shift);
}

// The middle of a step.
static double value_of_step(size_t step) {
  if (step < 2 * STEPS) return (double)step;
  int shift = (int)(step >> STEP_BITS) - 1;
  return ((double)((step & (STEPS - 1)) + STEPS) + 0.5) * (double)(1ull << shift);
}

static void note(uint64_t value) {
  times.counts[step_of(value)]++;
  times.total++;
  times.sum += value;
  if (value > times.max) times.max = value;
}

static double microseconds_at(double part) {
  uint64_t wanted = (uint64_t)(part * (double)(times.total - 1)) + 1, seen = 0;
  for (size_t step = 0; step < sizeof times.counts / sizeof *times.counts; step++)
    if ((seen += times.counts[step]) >= wanted) return value_of_step(step) / 1e3;
  return (double)times.max / 1e3;
}

// A call under way: its payload with room before it for the frame.
static struct call {
  uint8_t *payload;
  size_t size;
  uint64_t begun;
  uint32_t stream;
} calls[MAX_CALLS];

static uint16_t call_of_stream[STREAMS];
static size_t sizes[MAX_SIZES], size_count, next_size;
static uint32_t next_stream = 1;
static struct iovec queue[MAX_CALLS];
static size_t queued, first, batch;
static uint64_t all_calls, all_bytes;

static void begin_call(size_t index, uint64_t now) {
  struct call *call = &calls[index];
  call->size = sizes[next_size++ % size_count];
  call->stream = next_stream;
  call->begun = now;
  next_stream += 2;
  call_of_stream[(call->stream >> 1) % STREAMS] = (uint16_t)index;
  if (queued == MAX_CALLS) {
    memmove(queue, queue + first, (queued - first) * sizeof *queue);
    queued -= first, first = 0;
  }
  queue[queued].iov_base = frame_request(call->payload, call->size, call->stream, &queue[queued].iov_len);
  queued++;
}

// Writes what the socket takes; true when nothing is left.
static int write_queue(int fd) {
  while (first < queued) {
    struct msghdr message = {.msg_iov = queue + first, .msg_iovlen = queued - first < batch ? queued - first : batch};
    ssize_t written = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (written < 0 && errno == EAGAIN) return 0;
    if (written < 0) fail("write: %s", strerror(errno));
    for (; first < queued && (size_t)written >= queue[first].iov_len; first++) written -= (ssize_t)queue[first].iov_len;
    if (first < queued) {
      queue[first].iov_base = (uint8_t *)queue[first].iov_base + written;
      queue[first].iov_len -= (size_t)written;
    }
  }
  first = queued = 0;
  return 1;
}

static struct call *answered(const uint8_t *frame, size_t have) {
  struct header header = read_header(frame);
  struct call *call = &calls[call_of_stream[(header.stream >> 1) % STREAMS]];
  if (header.stream == 0 || call->stream != header.stream) fail("an answer on stream %u, where no call is under way", header.stream);
  check_answer(frame, have, call->size);
  return call;
}

static void read_sizes(const char *text) {
  for (const char *at = text; size_count < MAX_SIZES;) {
    char *end;
    unsigned long value = strtoul(at, &end, 10);
    if (end == at || (*end != ',' && *end != 0) || value > MAX_MESSAGE - 64) fail("-size is '%s', not sizes up to %d, comma between", text, MAX_MESSAGE - 64);
    sizes[size_count++] = value;
    if (*end == 0) return;
    at = end + 1;
  }
  fail("-size has more than %d sizes", MAX_SIZES);
}

static double number(int count, char **args, const char *name, const char *otherwise, double least, double most) {
  const char *text = flag(count, args, name, otherwise);
  char *end;
  double value = strtod(text, &end);
  if (end == text || *end != 0 || !(value >= least && value <= most)) fail("-%s is '%s', not a number from %g to %g", name, text, least, most);
  return value;
}

// Keeps the connection until standard input ends, so that whoever serves it with a thread of its own can be looked at.
static int end(int hold) {
  fflush(stdout);
  for (char byte; hold && read(0, &byte, 1) > 0;) continue;
  return 0;
}

int load(int count, char **args) {
  refuse_unknown_flags(count, args, (const char *const[]){"socket", "concurrency", "size", "seconds", "warmup", "batch", "hold", NULL});
  size_t concurrency = (size_t)number(count, args, "concurrency", "1", 1, MAX_CALLS);
  int hold = number(count, args, "hold", "0", 0, 1) > 0;
  batch = (size_t)number(count, args, "batch", "1", 1, MAX_CALLS);
  double seconds = number(count, args, "seconds", "2", 0.001, 3600), warmup = number(count, args, "warmup", "0.3", 0, 3600);
  read_sizes(flag(count, args, "size", "128"));
  int fd = connect_unix(flag(count, args, "socket", ""));
  struct timeval patience = {.tv_sec = PATIENCE_S};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  size_t largest = 0;
  for (size_t i = 0; i < size_count; i++) largest = sizes[i] > largest ? sizes[i] : largest;
  for (size_t i = 0; i < concurrency; i++) {
    uint8_t *memory = calloc(1, HEADROOM + largest + 1);
    if (memory == NULL) fail("no memory for %zu calls of %zu bytes", concurrency, largest);
    calls[i].payload = memory + HEADROOM;
  }
  uint64_t start = now_ns(), begin = start + (uint64_t)(warmup * 1e9), stop_at = begin + (uint64_t)(seconds * 1e9), now = start;
  for (size_t i = 0; i < concurrency; i++) begin_call(i, now);
  static uint8_t input[INPUT];
  size_t have = 0, left = 0, under_way = concurrency;
  struct call *reading = NULL; // whose answer is being read, `left` bytes of it to come
  while (under_way > 0) {
    if (!write_queue(fd)) {
      struct pollfd ready = {.fd = fd, .events = POLLIN | POLLOUT};
      if (poll(&ready, 1, PATIENCE_S * 1000) == 0) fail("nothing was read or written for %d s", PATIENCE_S);
      if (!(ready.revents & (POLLIN | POLLHUP))) continue;
    }
    ssize_t got = recv(fd, input + have, INPUT - have, 0);
    if (got == 0) fail("the connection ended with %zu calls under way", under_way);
    if (got < 0 && errno == EAGAIN) fail("no answer within %d s", PATIENCE_S);
    if (got < 0) fail("read: %s", strerror(errno));
    now = now_ns();
    const uint8_t *at = input, *stop = input + have + got;
    for (;;) {
      if (reading == NULL) {
        size_t here = (size_t)(stop - at);
        if (here < HEADER) break;
        uint32_t length = read_header(at).length;
        if (here < ANSWER_HEAD && here < HEADER + length) break;
        reading = answered(at, here);
        left = HEADER + length;
      }
      size_t part = (size_t)(stop - at) < left ? (size_t)(stop - at) : left;
      at += part, left -= part;
      if (left > 0) break;
      all_calls++, all_bytes += reading->size;
      if (now >= begin && now < stop_at) note(now - reading->begun);
      reading->stream = 0;
      if (now < stop_at)
        begin_call((size_t)(reading - calls), now);
      else
        under_way--;
      reading = NULL;
    }
    have = (size_t)(stop - at);
    if (have > 0) memmove(input, at, have);
  }
  if (times.total == 0) {
    // All of them took longer than was to be counted: no figures, but no failure either.
    printf("{\"calls\":%llu,\"bytes\":%llu,\"rps\":0}\n", (unsigned long long)all_calls, (unsigned long long)all_bytes);
    return end(hold);
  }
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
  printf("{\"calls\":%llu,\"bytes\":%llu,\"rps\":%.2f,\"p50us\":%.2f,\"p90us\":%.2f,\"p99us\":%.2f,\"maxus\":%.2f,\"meanus\":%.2f,\"loadCpuUs\":%.3f}\n",
         (unsigned long long)all_calls, (unsigned long long)all_bytes, (double)times.total / seconds, microseconds_at(0.5),
         microseconds_at(0.9), microseconds_at(0.99), (double)times.max / 1e3, (double)times.sum / (double)times.total / 1e3,
         cpu / (double)all_calls);
  return end(hold);
}
