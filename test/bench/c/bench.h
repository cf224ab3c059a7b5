// SPDX-License-Identifier: Apache-2.0
// What the bench's C programs share: ttrpc's frame header, the protobuf around a payload, sockets and the end of a program
// that cannot go on. Just enough of ttrpc to make and answer unary calls.
#ifndef BENCH_H
#define BENCH_H
#include <stddef.h>
#include <stdint.h>

enum { HEADER = 10, MAX_MESSAGE = 4 << 20, REQUEST = 1, RESPONSE = 2, UNIMPLEMENTED = 12 };
// Room before a payload for its frame header and everything of the request that comes before the payload.
enum { HEADROOM = 64 };

#define SERVICE "grpc.AgentService"
#define METHOD "ExecProcess"

struct header {
  uint32_t length, stream;
  uint8_t type, flags;
};

_Noreturn void fail(const char *format, ...);
uint64_t now_ns(void);

struct header read_header(const uint8_t *at);
void write_header(uint8_t *at, uint32_t length, uint32_t stream, uint8_t type);
// A protobuf varint: `read_varint` returns the byte after it, or NULL when it does not end before `end`.
uint8_t *write_varint(uint8_t *at, uint64_t value);
const uint8_t *read_varint(const uint8_t *at, const uint8_t *end, uint64_t *value);

// Lays a whole request in front of a payload of `size` bytes at `payload`; returns its first byte, `*length` bytes in all.
uint8_t *frame_request(uint8_t *payload, size_t size, uint32_t stream, size_t *length);
// Fails unless these first bytes of an answer, header included, are a good answer of `size` bytes.
void check_answer(const uint8_t *frame, size_t have, size_t size);
// How many bytes of an answer check_answer wants to see.
enum { ANSWER_HEAD = HEADER + 12 };

int connect_unix(const char *path);
int listen_unix(const char *path);

// `-name=value` or `--name=value` among the arguments; `otherwise` when it is not there.
const char *flag(int count, char **args, const char *name, const char *otherwise);
void refuse_unknown_flags(int count, char **args, const char *const *known);

int agent(int count, char **args);
int load(int count, char **args);
int links(int count, char **args);
#endif
