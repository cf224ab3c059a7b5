// SPDX-License-Identifier: Apache-2.0
// Many connections, each of which made one call, and which then stay and do nothing until standard input ends. Prints one
// line of JSON when all of them are there; 16 are opened at once. Sockets may be many too: -socket=a,b,c is gone through in turn.
#include "bench.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AT_ONCE = 16, SIZE = 128, SOCKETS = 4096 };

static void send_call(int fd) {
  uint8_t memory[HEADROOM + SIZE] = {0};
  size_t length;
  uint8_t *frame = frame_request(memory + HEADROOM, SIZE, 1, &length);
  if (send(fd, frame, length, MSG_NOSIGNAL) != (ssize_t)length) fail("a first call could not be written");
}

static void read_answer(int fd) {
  uint8_t input[1024];
  size_t have = 0, wanted = HEADER;
  while (have < wanted) {
    ssize_t got = recv(fd, input + have, wanted - have, 0);
    if (got <= 0) fail("a link ended, or said nothing for 30 s, before the answer to its first call");
    have += (size_t)got;
    if (have >= HEADER) wanted = HEADER + read_header(input).length;
    if (wanted > sizeof input) fail("an answer of %zu bytes to a call of %d", wanted, SIZE);
  }
  check_answer(input, have, SIZE);
}

int links(int count, char **args) {
  refuse_unknown_flags(count, args, (const char *const[]){"socket", "count", NULL});
  char *sockets[SOCKETS], *names = strdup(flag(count, args, "socket", ""));
  size_t known = 0;
  for (char *name = strtok(names, ","); name != NULL && known < SOCKETS; name = strtok(NULL, ",")) sockets[known++] = name;
  size_t links = strtoul(flag(count, args, "count", "1"), NULL, 10);
  if (links == 0 || known == 0) fail("-count=N and -socket=PATH[,PATH...] are both needed");
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  struct timeval patience = {.tv_sec = 30};
  uint64_t begun = now_ns();
  for (size_t i = 0; i < links; i += AT_ONCE) {
    int open[AT_ONCE];
    size_t these = links - i < AT_ONCE ? links - i : AT_ONCE;
    for (size_t j = 0; j < these; j++) {
      open[j] = connect_unix(sockets[(i + j) % known]);
      setsockopt(open[j], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
      send_call(open[j]);
    }
    for (size_t j = 0; j < these; j++) read_answer(open[j]);
  }
  printf("{\"links\":%zu,\"seconds\":%.4f}\n", links, (double)(now_ns() - begun) / 1e9);
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0) continue;
  return 0;
}
