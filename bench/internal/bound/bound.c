// Not for the go command, which would want cgo.
//go:build ignore

/*
 * bound: what moving the bytes of a remote read, a remote write or a message
 * costs over loopback TCP when nothing else is done: no protocol, no checks, no
 * checksums, no storage. Nothing on sockets is expected to be faster, so it is
 * what remote I/O is held against.
 *
 *   bound [options] serve PORT                             until killed
 *   bound [options] read|write PORT DEPTH SECONDS BLOCK
 *   bound [options] pingpong PORT SECONDS SIZE
 *
 *   --spin             poll the socket instead of sleeping in it, on this side
 *   --congestion=NAME  congestion control of this side (TCP_CONGESTION)
 *   --memory=BYTES     what is read and written, the same on both sides (1 GiB)
 *   --huge             the server's memory in huge pages, if there are any
 *   --verify           check on this side that the bytes arrive: needs it on both
 *
 * One connection at a time. A request has 48 bytes. A read's answer is 16 bytes
 * and the block; a write's request is followed by the block and answered by 16
 * bytes. A message is SIZE bytes, sent back as it is. The first 48 bytes of a
 * connection say what it is for. The client prints one line of JSON at its end,
 * the server one for each connection.
 *
 * With --verify a read's buffer is cleared before, and must have the pattern of
 * its place in the memory after; each write has a pattern of its own, which the
 * server looks for in its memory; a message must come back as it was sent.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
	MAX_DEPTH = 1024,
	STAGE = 1 << 18,  /* bytes received at a time when blocks are small */
	LARGE = 1 << 15,  /* blocks from here on are received in place */
	MAX_VECTORS = 1024, /* of one system call: IOV_MAX */
	HUGE_PAGE = 2 << 20,
};

enum operation { READ = 1, WRITE, PINGPONG };

static const char *const operation_names[] = {"", "read", "write", "pingpong"};

/* A request also opens a connection: then only operation and length count. Both
 * are looked at where they were received. */
struct request {
	uint64_t id, offset, length, seed;
	uint32_t operation, unused[3];
} __attribute__((may_alias));

struct answer {
	uint64_t id, length;
} __attribute__((may_alias));

_Static_assert(sizeof(struct request) == 48, "size of a request");
_Static_assert(sizeof(struct answer) == 16, "size of an answer");

static int spin, verify, huge;
static const char *congestion;
static uint64_t memory_size = 1 << 30;

static void fail(const char *what)
{
	fprintf(stderr, "bound: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void give_up(const char *why)
{
	fprintf(stderr, "bound: %s\n", why);
	exit(1);
}

static uint64_t clock_ns(clockid_t which)
{
	struct timespec t;
	clock_gettime(which, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static uint64_t now(void) { return clock_ns(CLOCK_MONOTONIC); }
static uint64_t cpu(void) { return clock_ns(CLOCK_PROCESS_CPUTIME_ID); }

/* ---- the pattern of --verify: 8-byte words that follow from a seed ---- */

static uint64_t word(uint64_t seed)
{
	uint64_t x = (seed + 1) * 0x9e3779b97f4a7c15ull;
	return x ^ x >> 29;
}

static void fill(char *to, size_t length, uint64_t seed)
{
	for (size_t i = 0; i < length; i += 8) {
		uint64_t w = word(seed + i / 8);
		memcpy(to + i, &w, length - i < 8 ? length - i : 8);
	}
}

static void must_match(const char *got, size_t length, uint64_t seed)
{
	for (size_t i = 0; i < length; i += 8) {
		uint64_t w = word(seed + i / 8);
		if (memcmp(got + i, &w, length - i < 8 ? length - i : 8)) {
			fprintf(stderr, "bound: byte %zu of %zu or one of the 7 after it is wrong\n", i, length);
			exit(3);
		}
	}
}

/* ---- sockets ---- */

static int tcp_socket(int port, struct sockaddr_in *a)
{
	int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	if (s < 0)
		fail("socket");
	if (congestion && setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, congestion, strlen(congestion)))
		fail(congestion);
	if (setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) || setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one))
		fail("setsockopt");
	memset(a, 0, sizeof *a);
	a->sin_family = AF_INET;
	a->sin_port = htons(port);
	a->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return s;
}

/* Sends everything, using up the vectors. Returns 0 if the peer is gone. */
static int send_all(int s, struct iovec *v, size_t count)
{
	while (count) {
		struct msghdr m = {.msg_iov = v, .msg_iovlen = count < MAX_VECTORS ? count : MAX_VECTORS};
		ssize_t n = sendmsg(s, &m, MSG_NOSIGNAL | (spin ? MSG_DONTWAIT : 0));
		if (n < 0) {
			if (errno == EAGAIN || errno == EINTR)
				continue;
			return 0;
		}
		for (; count && (size_t)n >= v->iov_len; v++, count--)
			n -= v->iov_len;
		if (count) {
			v->iov_base = (char *)v->iov_base + n;
			v->iov_len -= n;
		}
	}
	return 1;
}

/* What has been received of a connection and not been used yet. */
struct stream {
	int socket;
	size_t ahead;     /* how much may be received before it is asked for */
	int whole;        /* sleep until all of a block is there: see drive */
	size_t low, high; /* what is in the stage */
	char stage[STAGE] __attribute__((aligned(4096)));
};

/* Receives some bytes, first into `to`, then ahead. Returns how many went to
 * `to` and adds the others to the stage; -1 if the peer is gone. */
static ssize_t receive(struct stream *in, char *to, size_t length)
{
	struct iovec v[2] = {{to, length}, {in->stage + in->high, in->ahead - in->high}};
	int whole = in->whole && length;
	struct msghdr m = {.msg_iov = length ? v : v + 1, .msg_iovlen = length && !whole ? 2 : 1};
	for (;;) {
		ssize_t n = recvmsg(in->socket, &m, spin ? MSG_DONTWAIT : whole ? MSG_WAITALL : 0);
		if (n > 0) {
			size_t placed = (size_t)n < length ? (size_t)n : length;
			in->high += n - placed;
			return placed;
		}
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return -1;
	}
}

static size_t staged(const struct stream *in) { return in->high - in->low; }
static char *front(struct stream *in) { return in->stage + in->low; }

/* Receives more into the stage, behind what is left there. */
static int receive_ahead(struct stream *in)
{
	memmove(in->stage, front(in), staged(in));
	in->high = staged(in);
	in->low = 0;
	return receive(in, 0, 0) >= 0;
}

/* Puts the next bytes where they belong: from the stage what is there, from the
 * socket the rest. */
static int place(struct stream *in, char *to, size_t length)
{
	size_t here = staged(in) < length ? staged(in) : length;
	memcpy(to, front(in), here);
	in->low += here;
	if (here == length)
		return 1;
	in->low = in->high = 0;
	for (; here < length;) {
		ssize_t n = receive(in, to + here, length - here);
		if (n < 0)
			return 0;
		here += n;
	}
	return 1;
}

/* Small payloads wait in the stage until they are whole, so that other work goes
 * on meanwhile; for a large one the rest is waited for. */
static int ready(const struct stream *in, size_t head, size_t payload)
{
	return payload >= LARGE || staged(in) >= head + payload;
}

static size_t how_far_ahead(size_t head, size_t payload) { return payload >= LARGE ? head : STAGE; }

/* ---- latencies, in buckets 3% wide ---- */

enum { FINE = 32, BUCKETS = 40 * FINE };

static uint64_t buckets[BUCKETS], recorded;

static void record(uint64_t ns)
{
	int shift = 0;
	while (ns >> shift >= 2 * FINE)
		shift++;
	size_t b = shift * FINE + (ns >> shift);
	buckets[b < BUCKETS ? b : BUCKETS - 1]++;
	recorded++;
}

static uint64_t quantile(double q)
{
	uint64_t seen = 0, rank = q * recorded;
	for (size_t b = 0; b < BUCKETS; b++) {
		seen += buckets[b];
		if (seen > rank)
			return b < 2 * FINE ? b : (b % FINE + FINE) << (b / FINE - 1);
	}
	return 0;
}

/* ---- the client ---- */

static void report(const struct request *opening, int depth, uint64_t ios, uint64_t verified, uint64_t took, uint64_t used)
{
	double n = ios ? ios : 1;
	printf("{\"op\":\"%s\",\"block\":%llu,\"depth\":%d,\"ios\":%llu,\"bytes\":%llu,\"verified\":%llu,",
	       operation_names[opening->operation], (unsigned long long)opening->length, depth, (unsigned long long)ios,
	       (unsigned long long)(ios * opening->length), (unsigned long long)verified);
	if (took)
		printf("\"iops\":%.1f,\"us_per_io\":%.3f,", n * 1e9 / took, took / n / 1e3);
	if (recorded)
		printf("\"p50_ns\":%llu,\"p99_ns\":%llu,", (unsigned long long)quantile(0.5), (unsigned long long)quantile(0.99));
	printf("\"cpu_ns_per_io\":%.1f}\n", used / n);
	fflush(stdout);
}

static int open_connection(int port, const struct request *opening)
{
	struct sockaddr_in a;
	int s = tcp_socket(port, &a);
	if (connect(s, (struct sockaddr *)&a, sizeof a))
		fail("connect");
	struct iovec v = {(void *)opening, sizeof *opening};
	if (!send_all(s, &v, 1))
		fail("send");
	return s;
}

static struct stream in;

/* Keeps depth requests in flight: issues all that can be in one system call,
 * takes all answers that are there, and so on. */
static void drive(int port, enum operation op, int depth, uint64_t duration, size_t block)
{
	static struct request requests[MAX_DEPTH];
	static struct iovec out[2 * MAX_DEPTH];
	static int unused[MAX_DEPTH];
	struct request opening = {.operation = op, .length = block};
	char *buffers = aligned_alloc(4096, (depth * block + 4095) / 4096 * 4096);
	if (!buffers)
		fail("memory");
	memset(buffers, 1, depth * block);
	in.socket = open_connection(port, &opening);
	in.ahead = how_far_ahead(sizeof(struct answer), op == READ ? block : 0);
	/* This costs a system call for each block and saves more in waking up. It
	 * does not at the server, whose large writes come in one stream. */
	in.whole = !spin && op == READ && block >= LARGE;
	for (int i = 0; i < depth; i++)
		unused[i] = i;
	int idle = depth;
	uint64_t random = 0x2545f4914f6cdd1dull, blocks = memory_size / block, done = 0, issued = 0, verified = 0;
	uint64_t started = now(), used = cpu(), t = started;
	for (;;) {
		size_t vectors = 0;
		while (idle && t - started < duration) {
			struct request *r = &requests[unused[--idle]];
			random = random * 6364136223846793005ull + 1442695040888963407ull;
			*r = (struct request){.id = r - requests, .offset = (random >> 32) % blocks * block, .length = block,
			                      .seed = ++issued << 24, .operation = op};
			out[vectors++] = (struct iovec){r, sizeof *r};
			char *buffer = buffers + r->id * block;
			if (op == WRITE)
				out[vectors++] = (struct iovec){buffer, block};
			if (verify && op == WRITE)
				fill(buffer, block, r->seed);
			else if (verify)
				memset(buffer, 0, block);
		}
		if (idle == depth)
			break;
		if (!send_all(in.socket, out, vectors) || !receive_ahead(&in))
			give_up("the server is gone");
		while (staged(&in) >= sizeof(struct answer)) {
			const struct answer a = *(const struct answer *)front(&in);
			if (a.id >= MAX_DEPTH || a.length != (op == READ ? block : 0))
				give_up("this is no answer to a request");
			if (!ready(&in, sizeof a, a.length))
				break;
			in.low += sizeof a;
			if (!place(&in, buffers + a.id * block, a.length))
				give_up("the server is gone");
			if (verify && op == READ) {
				must_match(buffers + a.id * block, block, requests[a.id].offset / 8);
				verified++;
			}
			unused[idle++] = a.id;
			done++;
		}
		uint64_t then = t;
		t = now();
		if (depth == 1 && idle)
			record(t - then);
	}
	report(&opening, depth, done, verified, t - started, cpu() - used);
}

/* Sends a message and waits until it is back, again and again. */
static void pingpong(int port, uint64_t duration, size_t size)
{
	struct request opening = {.operation = PINGPONG, .length = size};
	char *sent = malloc(size), *back = malloc(size);
	if (!sent || !back)
		fail("memory");
	memset(sent, 1, size);
	in.socket = open_connection(port, &opening);
	uint64_t done = 0, verified = 0, started = now(), used = cpu(), t = started;
	while (t - started < duration) {
		if (verify) {
			fill(sent, size, done << 24);
			memset(back, 0, size);
		}
		struct iovec v = {sent, size};
		if (!send_all(in.socket, &v, 1) || !place(&in, back, size))
			give_up("the server is gone");
		if (verify) {
			must_match(back, size, done << 24);
			verified++;
		}
		done++;
		uint64_t then = t;
		t = now();
		record(t - then);
	}
	report(&opening, 1, done, verified, t - started, cpu() - used);
}

/* ---- the server ---- */

static char *memory;

/* Answers reads and writes until the client is gone: takes all requests that
 * are there and answers them in one system call. */
static uint64_t answer_requests(const struct request *opening, uint64_t *verified)
{
	static struct answer answers[STAGE / sizeof(struct request)];
	static struct iovec out[2 * STAGE / sizeof(struct request)];
	const size_t block = opening->length, payload = opening->operation == WRITE ? block : 0;
	uint64_t done = 0;
	for (;;) {
		size_t answered = 0, vectors = 0;
		while (staged(&in) >= sizeof(struct request)) {
			/* Only what is needed is copied, before place() overwrites it. Copying
			 * all of it costs 0.3 us: the compiler's string copy waits until the
			 * block before it is in the cache. */
			const struct request *r = (const struct request *)front(&in);
			const uint64_t id = r->id, seed = r->seed;
			char *at = memory + r->offset;
			if (r->operation != opening->operation || r->length != block || r->offset > memory_size - block)
				return done;
			if (!ready(&in, sizeof *r, payload))
				break;
			in.low += sizeof *r;
			if (!place(&in, at, payload))
				return done;
			if (verify && payload) {
				must_match(at, payload, seed);
				++*verified;
			}
			answers[answered] = (struct answer){id, block - payload};
			out[vectors++] = (struct iovec){&answers[answered++], sizeof(struct answer)};
			if (!payload)
				out[vectors++] = (struct iovec){at, block};
		}
		if (!send_all(in.socket, out, vectors))
			return done;
		done += answered;
		if (!receive_ahead(&in))
			return done;
	}
}

static uint64_t send_back(size_t size)
{
	char *message = malloc(size);
	if (!message)
		fail("memory");
	uint64_t done = 0;
	for (; place(&in, message, size); done++) {
		struct iovec v = {message, size};
		if (!send_all(in.socket, &v, 1))
			break;
	}
	free(message);
	return done;
}

static void serve_one(int s)
{
	struct request opening;
	uint64_t verified = 0, done = 0;
	in.socket = s;
	in.low = in.high = 0;
	in.ahead = 0;
	if (place(&in, (char *)&opening, sizeof opening) && opening.length && opening.length <= memory_size) {
		uint64_t used = cpu();
		in.ahead = how_far_ahead(sizeof opening, opening.operation == WRITE ? opening.length : 0);
		if (opening.operation == READ || opening.operation == WRITE)
			done = receive_ahead(&in) ? answer_requests(&opening, &verified) : 0;
		else if (opening.operation == PINGPONG)
			in.ahead = 0, done = send_back(opening.length);
		else
			return;
		report(&opening, 0, done, verified, 0, cpu() - used);
	}
}

static void serve(int port)
{
	struct sockaddr_in a;
	int listener = tcp_socket(port, &a);
	memory = aligned_alloc(HUGE_PAGE, (memory_size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
	if (!memory)
		fail("memory");
	if (huge && madvise(memory, memory_size, MADV_HUGEPAGE))
		fail("huge pages");
	memset(memory, 1, memory_size); /* so that it exists */
	if (verify)
		fill(memory, memory_size, 0);
	if (bind(listener, (struct sockaddr *)&a, sizeof a) || listen(listener, 8))
		fail("listen");
	for (;;) {
		int s = accept(listener, 0, 0), one = 1;
		if (s < 0)
			fail("accept");
		setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		serve_one(s);
		close(s);
	}
}

/* ---- the command line ---- */

static int usage(void)
{
	fprintf(stderr, "usage: bound [--spin] [--verify] [--huge] [--congestion=NAME] [--memory=BYTES] "
	                "serve PORT | read|write PORT DEPTH SECONDS BLOCK | pingpong PORT SECONDS SIZE\n");
	return 2;
}

static int option(const char *o)
{
	if (!strcmp(o, "--spin"))
		return spin = 1;
	if (!strcmp(o, "--verify"))
		return verify = 1;
	if (!strcmp(o, "--huge"))
		return huge = 1;
	if (!strncmp(o, "--congestion=", 13))
		return congestion = o + 13, 1;
	if (!strncmp(o, "--memory=", 9))
		return (memory_size = strtoull(o + 9, 0, 10)) > 0;
	return 0;
}

int main(int count, char **words)
{
	for (words++, count--; count && !strncmp(*words, "--", 2); words++, count--)
		if (!option(*words))
			return usage();
	if (count == 2 && !strcmp(words[0], "serve"))
		serve(atoi(words[1]));
	if (count == 4 && !strcmp(words[0], "pingpong")) {
		uint64_t duration = atof(words[2]) * 1e9, size = strtoull(words[3], 0, 10);
		if (!size || size > memory_size)
			return usage();
		pingpong(atoi(words[1]), duration, size);
		return 0;
	}
	if (count == 5 && (!strcmp(words[0], "read") || !strcmp(words[0], "write"))) {
		int depth = atoi(words[2]);
		uint64_t duration = atof(words[3]) * 1e9, block = strtoull(words[4], 0, 10);
		if (depth < 1 || depth > MAX_DEPTH || !block || block > memory_size || block % 8)
			return usage();
		drive(atoi(words[1]), *words[0] == 'r' ? READ : WRITE, depth, duration, block);
		return 0;
	}
	return usage();
}
