// SPDX-License-Identifier: Apache-2.0
// Many connections, each of which made one call, and which then stay and do nothing until standard input ends. Prints one
// line of JSON when all of them are there. Sockets may be many too: -socket=a,b,c is gone through in turn.
#include "bench.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void call_once(int fd, uint8_t *payload, size_t size) {
  size_t length, have = 0, wanted = HEADER;
  uint8_t *frame = frame_request(payload, size, 1, &length), input[1024];
  if (send(fd, frame, length, MSG_NOSIGNAL) != (ssize_t)length) fail("a first call could not be written");
  while (have < wanted) {
    ssize_t got = recv(fd, input + have, wanted - have, 0);
    if (got <= 0) fail("a link ended or said nothing before the answer to its first call");
    have += (size_t)got;
    if (have >= HEADER) wanted = HEADER + read_header(input).length;
    if (wanted > sizeof input) fail("an answer of %zu bytes to a call of %zu", wanted, size);
  }
  check_answer(input, have, size);
}

int links(int count, char **args) {
  refuse_unknown_flags(count, args, (const char *const[]){"socket", "count", NULL});
  char *sockets[4096], *names = strdup(flag(count, args, "socket", ""));
  size_t known = 0, size = 128;
  for (char *name = strtok(names, ","); name != NULL && known < 4096; name = strtok(NULL, ",")) sockets[known++] = name;
  size_t links = strtoul(flag(count, args, "count", "1"), NULL, 10);
  if (links == 0 || known == 0) fail("-count=N and -socket=PATH[,PATH...] are both needed");
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  uint8_t memory[HEADROOM + 128] = {0};
  uint64_t begun = now_ns(), slowest = 0;
  struct timeval patience = {.tv_sec = 30};
  for (size_t i = 0; i < links; i++) {
    uint64_t from = now_ns();
    int fd = connect_unix(sockets[i % known]);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    call_once(fd, memory + HEADROOM, size);
    uint64_t took = now_ns() - from;
    if (took > slowest) slowest = took;
  }
  printf("{\"links\":%zu,\"seconds\":%.4f,\"slowestMs\":%.3f}\n", links, (double)(now_ns() - begun) / 1e9, (double)slowest / 1e6);
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0) continue;
  return 0;
}
