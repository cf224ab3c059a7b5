// SPDX-License-Identifier: Apache-2.0
// The bodies of bench.h, and the choice of the program.
#include "bench.h"
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

void fail(const char *format, ...) {
  va_list rest;
  va_start(rest, format);
  fputs("bench: ", stderr);
  vfprintf(stderr, format, rest);
  fputc('\n', stderr);
  va_end(rest);
  exit(1);
}

uint64_t now_ns(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static uint32_t read_u32(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void write_u32(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)(value >> 24), at[1] = (uint8_t)(value >> 16), at[2] = (uint8_t)(value >> 8), at[3] = (uint8_t)value;
}

struct header read_header(const uint8_t *at) {
  return (struct header){.length = read_u32(at), .stream = read_u32(at + 4), .type = at[8], .flags = at[9]};
}

void write_header(uint8_t *at, uint32_t length, uint32_t stream, uint8_t type) {
  write_u32(at, length);
  write_u32(at + 4, stream);
  at[8] = type, at[9] = 0;
}

uint8_t *write_varint(uint8_t *at, uint64_t value) {
  for (; value > 127; value >>= 7) *at++ = (uint8_t)(value | 128);
  *at++ = (uint8_t)value;
  return at;
}

const uint8_t *read_varint(const uint8_t *at, const uint8_t *end, uint64_t *value) {
  *value = 0;
  for (int shift = 0; at < end && shift < 64; shift += 7) {
    *value |= (uint64_t)(*at & 127) << shift;
    if (*at++ < 128) return at;
  }
  return NULL;
}

// Field 1 of google.protobuf.BytesValue, which the Go agent decodes; in an answer the same bytes come back.
static uint8_t *bytes_value(uint8_t *at, size_t size) {
  if (size == 0) return at;
  *at++ = 0x0a;
  return write_varint(at, size);
}

uint8_t *frame_request(uint8_t *payload, size_t size, uint32_t stream, size_t *length) {
  uint8_t inner[16], text[HEADROOM], *at = text;
  size_t inner_size = (size_t)(bytes_value(inner, size) - inner);
  *at++ = 0x0a, *at++ = sizeof SERVICE - 1;
  at = (uint8_t *)memcpy(at, SERVICE, sizeof SERVICE - 1) + sizeof SERVICE - 1;
  *at++ = 0x12, *at++ = sizeof METHOD - 1;
  at = (uint8_t *)memcpy(at, METHOD, sizeof METHOD - 1) + sizeof METHOD - 1;
  *at++ = 0x1a;
  at = write_varint(at, inner_size + size);
  at = (uint8_t *)memcpy(at, inner, inner_size) + inner_size;
  size_t before = (size_t)(at - text);
  uint8_t *start = payload - before - HEADER;
  write_header(start, (uint32_t)(before + size), stream, REQUEST);
  memcpy(start + HEADER, text, before);
  *length = HEADER + before + size;
  return start;
}

void check_answer(const uint8_t *frame, size_t have, size_t size) {
  struct header header = read_header(frame);
  if (header.type != RESPONSE) fail("stream %u was answered with a message of type %u", header.stream, header.type);
  uint8_t wanted[ANSWER_HEAD], inner[16], *at = wanted + HEADER;
  size_t inner_size = (size_t)(bytes_value(inner, size) - inner);
  if (inner_size + size > 0) {
    *at++ = 0x12;
    at = write_varint(at, inner_size + size);
    at = (uint8_t *)memcpy(at, inner, inner_size) + inner_size;
  }
  size_t before = (size_t)(at - wanted) - HEADER;
  if (header.length == before + size && have >= HEADER + before && memcmp(frame + HEADER, wanted + HEADER, before) == 0)
    return;
  // An empty status says OK as well.
  if (header.length == before + size + 2 && have >= HEADER + before + 2 && memcmp(frame + HEADER, "\x0a\x00", 2) == 0 &&
      memcmp(frame + HEADER + 2, wanted + HEADER, before) == 0)
    return;
  fail("stream %u: a call of %zu bytes was answered with %u bytes that are not the same again", header.stream, size,
       header.length);
}

static struct sockaddr_un address(const char *path) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  if (strlen(path) == 0 || strlen(path) >= sizeof to.sun_path) fail("-socket is '%s', not the path of a Unix socket", path);
  strcpy(to.sun_path, path);
  return to;
}

int connect_unix(const char *path) {
  struct sockaddr_un to = address(path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket: %s", strerror(errno));
  if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) fail("connect to %s: %s", path, strerror(errno));
  return fd;
}

int listen_unix(const char *path) {
  struct sockaddr_un to = address(path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) fail("socket: %s", strerror(errno));
  unlink(path);
  if (bind(fd, (struct sockaddr *)&to, sizeof to) != 0 || listen(fd, 4096) != 0) fail("listen at %s: %s", path, strerror(errno));
  return fd;
}

static const char *value_of(const char *argument, const char *name) {
  while (*argument == '-') argument++;
  size_t length = strlen(name);
  return strncmp(argument, name, length) == 0 && argument[length] == '=' ? argument + length + 1 : NULL;
}

const char *flag(int count, char **args, const char *name, const char *otherwise) {
  const char *found = otherwise;
  for (int i = 0; i < count; i++) {
    const char *value = value_of(args[i], name);
    if (value != NULL) found = value;
  }
  return found;
}

void refuse_unknown_flags(int count, char **args, const char *const *known) {
  for (int i = 0; i < count; i++) {
    int good = 0;
    for (const char *const *name = known; *name != NULL; name++) good |= value_of(args[i], *name) != NULL;
    if (!good) fail("%s is no flag of this program (they are written -name=value)", args[i]);
  }
}

int main(int count, char **args) {
  signal(SIGPIPE, SIG_IGN);
  const char *what = count > 1 ? args[1] : "";
  if (strcmp(what, "agent") == 0) return agent(count - 2, args + 2);
  if (strcmp(what, "load") == 0) return load(count - 2, args + 2);
  if (strcmp(what, "links") == 0) return links(count - 2, args + 2);
  fail("usage: bench agent|load|links -socket=PATH [flags]");
}
