// SPDX-License-Identifier: Apache-2.0
// An echo agent that costs little: it lays the answer's header over the request, in front of the payload, with one write
// per answer as ttrpc's servers do it (-batch=N: up to N answers per write). Any number of connections on one epoll; each
// reads on while its answers wait.
#define _GNU_SOURCE
#include "bench.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FIRST_BUFFER = 64 << 10, LARGEST_BUFFER = 8 * (MAX_MESSAGE + HEADER), MAX_ANSWERS = 512, EVENTS = 256 };

// Answers lie in the buffer where their requests lay, so it is begun anew only when all of them are written.
struct connection {
  int fd;
  uint32_t watched;
  uint8_t *buffer;
  size_t capacity, parsed, end;
  struct iovec answers[MAX_ANSWERS];
  size_t first, count;
};

static int poll_fd;
static size_t batch;

static void watch(struct connection *c, int operation, uint32_t events) {
  if (c->watched == events) return;
  struct epoll_event event = {.events = events, .data.ptr = c};
  if (epoll_ctl(poll_fd, operation, c->fd, &event) != 0) fail("epoll_ctl: %s", strerror(errno));
  c->watched = events;
}

static void close_connection(struct connection *c) {
  close(c->fd);
  free(c->buffer);
  free(c);
}

static int is(const uint8_t *at, size_t length, const char *text) {
  return length == strlen(text) && memcmp(at, text, length) == 0;
}

// Answers one request in place.
static void answer(struct connection *c, uint8_t *frame, struct header header) {
  if (header.type != REQUEST) return;
  const uint8_t *at = frame + HEADER, *end = at + header.length;
  uint8_t *payload = frame + HEADER;
  uint64_t size = 0;
  int echo = 0, known = 0;
  while (at < end) {
    uint64_t key, value;
    at = read_varint(at, end, &key);
    if (at != NULL) at = read_varint(at, end, &value);
    if (at == NULL) fail("stream %u: a request that is no protobuf", header.stream);
    if ((key & 7) == 0) continue;
    if ((key & 7) != 2 || value > (uint64_t)(end - at)) fail("stream %u: a request that is no ttrpc request", header.stream);
    if (key == 0x0a) known = is(at, value, SERVICE);
    if (key == 0x12) echo = is(at, value, METHOD);
    if (key == 0x1a) payload = frame + (at - frame), size = value;
    at += value;
  }
  uint8_t head[HEADER + 16], *to = head + HEADER;
  if (!known || !echo) {
    // Answered as a server answers a method it does not have: Status{code: 12}.
    memcpy(to, "\x0a\x02\x08\x0c", 4);
    to += 4, size = 0;
  } else if (size > 0) {
    *to++ = 0x12;
    to = write_varint(to, size);
  }
  size_t before = (size_t)(to - head);
  write_header(head, (uint32_t)(before - HEADER + size), header.stream, RESPONSE);
  uint8_t *start = size > 0 ? payload - before : frame;
  if (start < frame || (size == 0 && before > HEADER + header.length)) fail("stream %u: no room for the answer in its request", header.stream);
  memcpy(start, head, before);
  c->answers[c->count++] = (struct iovec){.iov_base = start, .iov_len = before + size};
}

// True when nothing is left to write; closes nothing.
static int write_answers(struct connection *c) {
  while (c->first < c->count) {
    struct msghdr message = {.msg_iov = c->answers + c->first, .msg_iovlen = c->count - c->first < batch ? c->count - c->first : batch};
    ssize_t written = sendmsg(c->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (written < 0) return errno == EAGAIN ? 0 : -1;
    for (; c->first < c->count && (size_t)written >= c->answers[c->first].iov_len; c->first++)
      written -= (ssize_t)c->answers[c->first].iov_len;
    if (c->first < c->count) {
      c->answers[c->first].iov_base = (uint8_t *)c->answers[c->first].iov_base + written;
      c->answers[c->first].iov_len -= (size_t)written;
    }
  }
  c->first = c->count = 0;
  return 1;
}

// With nothing left to write, what is unread goes to the buffer's start, and the buffer grows if that frame needs it.
static void begin_anew(struct connection *c) {
  size_t rest = c->end - c->parsed;
  size_t wanted = rest >= HEADER ? HEADER + read_header(c->buffer + c->parsed).length : HEADER;
  if (c->parsed > 0) memmove(c->buffer, c->buffer + c->parsed, rest);
  c->parsed = 0, c->end = rest;
  if (wanted * 4 <= c->capacity || c->capacity >= LARGEST_BUFFER) return;
  while (c->capacity < wanted * 4 && c->capacity < LARGEST_BUFFER) c->capacity *= 2;
  c->buffer = realloc(c->buffer, c->capacity);
  if (c->buffer == NULL) fail("no memory for a buffer of %zu bytes", c->capacity);
}

// Answers what is there and reads what comes, until the socket has nothing or takes nothing; false when it has ended.
static int serve(struct connection *c) {
  for (int emptied = 0;;) {
    while (c->count < MAX_ANSWERS && c->end - c->parsed >= HEADER) {
      uint8_t *frame = c->buffer + c->parsed;
      struct header header = read_header(frame);
      if (header.length > MAX_MESSAGE) fail("stream %u: a message of %u bytes", header.stream, header.length);
      if (c->end - c->parsed < HEADER + header.length) break;
      c->parsed += HEADER + header.length;
      answer(c, frame, header);
    }
    int full = c->count == MAX_ANSWERS, written = write_answers(c);
    if (written < 0) return 0;
    if (written) begin_anew(c);
    if (written && full) continue;
    size_t room = full ? 0 : c->capacity - c->end;
    if (emptied || room == 0) {
      watch(c, EPOLL_CTL_MOD, (room > 0 ? EPOLLIN : 0) | (written ? 0 : EPOLLOUT));
      return 1;
    }
    ssize_t got = recv(c->fd, c->buffer + c->end, room, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN)) return 0;
    // Less than there was room for: the socket is empty, and epoll tells when it is not.
    emptied = got < (ssize_t)room;
    if (got > 0) c->end += (size_t)got;
  }
}

int agent(int count, char **args) {
  refuse_unknown_flags(count, args, (const char *const[]){"socket", "batch", NULL});
  int listener = listen_unix(flag(count, args, "socket", ""));
  batch = strtoul(flag(count, args, "batch", "1"), NULL, 10);
  if (batch < 1 || batch > MAX_ANSWERS) fail("-batch is not a number from 1 to %d", MAX_ANSWERS);
  poll_fd = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event listening = {.events = EPOLLIN, .data.ptr = NULL};
  if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &listening) != 0) fail("epoll_ctl: %s", strerror(errno));
  for (;;) {
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(poll_fd, events, EVENTS, -1);
    for (int i = 0; i < ready; i++) {
      struct connection *c = events[i].data.ptr;
      if (c != NULL) {
        if (!serve(c)) close_connection(c);
        continue;
      }
      int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd < 0) continue;
      c = calloc(1, sizeof *c);
      if (c == NULL || (c->buffer = malloc(FIRST_BUFFER)) == NULL) fail("no memory for a connection");
      c->fd = fd, c->capacity = FIRST_BUFFER;
      watch(c, EPOLL_CTL_ADD, EPOLLIN);
    }
  }
}
