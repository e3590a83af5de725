/*
 * kpverbs: one RDMA connection, and the operations that the command line names.
 *
 *   kpverbs serve  [-a ADDR] -p PORT [options] [OP...]
 *   kpverbs client  -a ADDR  -p PORT [options] [OP...]
 *
 * It makes the cases that packaged tools do not: Send with Solicited Event or
 * Invalidate, empty operations, a connection that is refused, and accesses that
 * the peer must answer with a Terminate. Each side registers one buffer, of
 * which byte i holds i + (i >> 8), and names it at the start of its private
 * data, in network byte order:
 *
 *     u64 address, u32 rkey (the STag), u32 length
 *
 * README.md lists the options and the operations. What is printed gives sizes and
 * FNV-1a hashes of what came. The exit status is 0, 1 when an operation failed
 * or could not be set up, 2 for bad arguments, 3 when the connection was refused.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <infiniband/verbs.h>
#include <netdb.h>
#include <poll.h>
#include <rdma/rdma_cma.h>
#include <rdma/rdma_verbs.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_POSTED = 60 };

static struct {
	const char *addr, *port;
	int connections;      /* -n to serve, one after the other */
	int receives;         /* -r posted */
	size_t receive_size;  /* -b of each, in bytes */
	size_t buffer_size;   /* -B in bytes */
	int access;           /* -A of the peer to the buffer */
	int private_size;     /* -d bytes of private data */
	int reject;           /* -R each connection */
	int echo;             /* -e every message that is no operation's */
	int ord, ird;         /* -o, -i */
	int timeout_ms;       /* -t for one completion */
	char **ops;
} opt = {
	.connections = 1, .receives = 16, .receive_size = 65536, .buffer_size = 1 << 20,
	.access = IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE,
	.private_size = 16, .ord = 8, .ird = 8, .timeout_ms = 10000,
};

/* What a side tells the other, in network byte order on the wire. */
struct region {
	uint64_t addr;
	uint32_t rkey;
	uint32_t size;
} __attribute__((packed));

struct conn {
	struct rdma_cm_id *id;
	uint8_t *buffer, *receives;
	struct ibv_mr *buffer_mr, *receives_mr;
	struct region peer; /* in host byte order; zero when it said nothing */
};

static void die(const char *format, ...)
{
	int error = errno;
	va_list args;

	va_start(args, format);
	printf("kpverbs: ");
	vprintf(format, args);
	printf(" (%s)\n", strerror(error));
	va_end(args);
	exit(1);
}

/* What operation number k sends. */
static void fill(uint8_t *p, size_t size, unsigned k)
{
	for (size_t i = 0; i < size; i++)
		p[i] = (uint8_t)(i + (i >> 8) + 31 * k);
}

static uint32_t fnv(const uint8_t *p, size_t size)
{
	uint32_t h = 2166136261u;

	while (size--)
		h = (h ^ *p++) * 16777619u;
	return h;
}

/* ---------------------------------------------------------- setting it up */

static void post_receive(struct conn *c, uint64_t slot)
{
	if (rdma_post_recv(c->id, (void *)(uintptr_t)slot, c->receives + slot * opt.receive_size,
			   opt.receive_size, c->receives_mr))
		die("post receive");
}

static struct ibv_mr *allocate(struct conn *c, uint8_t **p, size_t size, int access)
{
	struct ibv_mr *mr;

	*p = aligned_alloc(4096, (size + 4096) & ~4095ul);
	if (!*p)
		die("allocate");
	mr = ibv_reg_mr(c->id->pd, *p, size ? size : 1, IBV_ACCESS_LOCAL_WRITE | access);
	if (!mr)
		die("register memory");
	return mr;
}

static void open_conn(struct conn *c)
{
	c->buffer_mr = allocate(c, &c->buffer, opt.buffer_size, opt.access);
	c->receives_mr = allocate(c, &c->receives, opt.receives * opt.receive_size, 0);
	fill(c->buffer, opt.buffer_size, 0);
	for (int i = 0; i < opt.receives; i++)
		post_receive(c, i);
}

static void report_buffer(const struct conn *c)
{
	printf("buffer: fnv %08x\n", fnv(c->buffer, opt.buffer_size));
}

static struct ibv_qp_init_attr qp_attributes(void)
{
	return (struct ibv_qp_init_attr){
		.qp_type = IBV_QPT_RC,
		.sq_sig_all = 1,
		.cap = {
			.max_send_wr = MAX_POSTED + 4,
			.max_recv_wr = opt.receives + 1,
			.max_send_sge = 1,
			.max_recv_sge = 1,
		},
	};
}

/* private must live as long as what is returned. */
static struct rdma_conn_param parameters(const struct conn *c, uint8_t private[256])
{
	struct region r = {
		.addr = htobe64((uintptr_t)c->buffer),
		.rkey = htobe32(c->buffer_mr->rkey),
		.size = htobe32(opt.buffer_size),
	};

	fill(private, 256, 0x5a);
	memcpy(private, &r, sizeof(r));
	return (struct rdma_conn_param){
		.private_data = private,
		.private_data_len = opt.private_size,
		.initiator_depth = opt.ord,
		.responder_resources = opt.ird,
	};
}

static void print_private(const struct rdma_conn_param *p)
{
	const uint8_t *octets = p->private_data;

	printf("peer: %u bytes of private data:", p->private_data_len);
	for (int i = 0; i < p->private_data_len; i++)
		printf(" %02x", octets[i]);
	printf("\n");
}

static void take_region(struct conn *c, const void *octets, size_t size)
{
	struct region r;

	if (size < sizeof(r))
		return;
	memcpy(&r, octets, sizeof(r));
	c->peer.addr = be64toh(r.addr);
	c->peer.rkey = be32toh(r.rkey);
	c->peer.size = be32toh(r.size);
	printf("peer: buffer of %u bytes at 0x%llx rkey 0x%x\n", c->peer.size,
	       (unsigned long long)c->peer.addr, c->peer.rkey);
}

static void take_peer(struct conn *c, const struct rdma_conn_param *p)
{
	printf("peer: ird %u ord %u\n", p->responder_resources, p->initiator_depth);
	print_private(p);
	take_region(c, p->private_data, p->private_data_len);
}

/* ------------------------------------------------------------- completions */

/* One completion; 0 after the time limit. */
static int next_completion(struct ibv_cq *cq, struct ibv_wc *wc)
{
	struct timespec start, now;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		if (ibv_poll_cq(cq, 1, wc) == 1)
			return 1;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 > opt.timeout_ms)
			return 0;
		usleep(200);
	}
}

static uint8_t *received(const struct conn *c, const struct ibv_wc *wc)
{
	return c->receives + wc->wr_id * opt.receive_size;
}

static void print_receive(const struct conn *c, const struct ibv_wc *wc)
{
	printf("received %u bytes fnv %08x\n", wc->byte_len, fnv(received(c, wc), wc->byte_len));
}

static void drain_async_events(struct ibv_context *context)
{
	struct ibv_async_event event;

	fcntl(context->async_fd, F_SETFL, fcntl(context->async_fd, F_GETFL) | O_NONBLOCK);
	for (int i = 0; i < 16 && !ibv_get_async_event(context, &event); i++) {
		printf("async event: %s\n", ibv_event_type_str(event.event_type));
		ibv_ack_async_event(&event);
	}
}

/* -------------------------------------------------------------- operations */

enum wrong { NOTHING, STAG, BEYOND, BELOW };

static const struct kind {
	const char *name;
	int opcode;
	int flags;
	enum wrong wrong;
} kinds[] = {
	{ "send", IBV_WR_SEND, 0, NOTHING },
	{ "send-se", IBV_WR_SEND, IBV_SEND_SOLICITED, NOTHING },
	{ "send-inv", IBV_WR_SEND_WITH_INV, 0, NOTHING },
	{ "send-se-inv", IBV_WR_SEND_WITH_INV, IBV_SEND_SOLICITED, NOTHING },
	{ "send-bad-inv", IBV_WR_SEND_WITH_INV, 0, STAG },
	{ "write", IBV_WR_RDMA_WRITE, 0, NOTHING },
	{ "write-bad-stag", IBV_WR_RDMA_WRITE, 0, STAG },
	{ "write-beyond", IBV_WR_RDMA_WRITE, 0, BEYOND },
	{ "write-below", IBV_WR_RDMA_WRITE, 0, BELOW },
	{ "read", IBV_WR_RDMA_READ, 0, NOTHING },
	{ "read-bad-stag", IBV_WR_RDMA_READ, 0, STAG },
	{ "read-beyond", IBV_WR_RDMA_READ, 0, BEYOND },
};

/* NAME[:SIZE[@OFFSET]][*COUNT] */
struct op {
	char name[32];
	unsigned long size, offset, count;
};

static struct op parse(const char *spec)
{
	struct op op = { .size = 64, .count = 1 };
	size_t n = strcspn(spec, ":*");
	char *s = (char *)spec + n;

	snprintf(op.name, sizeof(op.name), "%.*s", (int)n, spec);
	if (*s == ':')
		op.size = strtoul(s + 1, &s, 0);
	if (*s == '@')
		op.offset = strtoul(s + 1, &s, 0);
	if (*s == '*')
		op.count = strtoul(s + 1, &s, 0);
	if (*s || op.size > opt.buffer_size || op.count > MAX_POSTED) {
		printf("kpverbs: bad operation %s\n", spec);
		exit(2);
	}
	return op;
}

static const struct kind *kind_of(const struct op *op)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].name, op->name))
			return &kinds[i];
	printf("kpverbs: no operation called %s\n", op->name);
	exit(2);
}

static int post(struct conn *c, const struct kind *kind, const struct op *op)
{
	struct ibv_sge sge = { (uintptr_t)c->buffer, op->size, c->buffer_mr->lkey };
	struct ibv_send_wr *bad, wr = {
		.sg_list = op->size ? &sge : NULL,
		.num_sge = op->size ? 1 : 0,
		.opcode = kind->opcode,
		.send_flags = IBV_SEND_SIGNALED | kind->flags,
	};
	uint32_t rkey = c->peer.rkey ^ (kind->wrong == STAG ? 0x00ffff00 : 0);

	wr.wr.rdma.rkey = rkey; /* from here libsiw takes what to invalidate, too */
	if (kind->opcode == IBV_WR_SEND_WITH_INV)
		wr.invalidate_rkey = rkey;
	wr.wr.rdma.remote_addr = c->peer.addr + op->offset;
	if (kind->wrong == BEYOND)
		wr.wr.rdma.remote_addr = c->peer.addr + c->peer.size - op->size / 2;
	if (kind->wrong == BELOW)
		wr.wr.rdma.remote_addr = c->peer.addr - 4096;
	return ibv_post_send(c->id->qp, &wr, &bad);
}

/* op->count messages; "region" takes what they name for the peer's buffer. */
static int receive(struct conn *c, const char *spec, const struct op *op)
{
	struct ibv_wc wc;

	for (unsigned long i = 0; i < op->count; i++) {
		if (!next_completion(c->id->recv_cq, &wc)) {
			printf("%s: nothing received\n", spec);
			return 1;
		}
		if (wc.status != IBV_WC_SUCCESS) {
			printf("%s: %s\n", spec, ibv_wc_status_str(wc.status));
			return 1;
		}
		print_receive(c, &wc);
		if (!strcmp(op->name, "region"))
			take_region(c, received(c, &wc), wc.byte_len);
		post_receive(c, wc.wr_id);
	}
	return 0;
}

/* Operation number k: all op->count of it are posted before the first is waited for. */
static int transfer(struct conn *c, const char *spec, const struct op *op, unsigned k)
{
	const struct kind *kind = kind_of(op);
	struct ibv_wc wc;

	if (kind->opcode != IBV_WR_RDMA_READ)
		fill(c->buffer, op->size, k);
	for (unsigned long i = 0; i < op->count; i++)
		if (post(c, kind, op))
			die("post %s", spec);
	for (unsigned long i = 0; i < op->count; i++) {
		if (!next_completion(c->id->send_cq, &wc)) {
			printf("%s: no completion\n", spec);
			return 1;
		}
		if (wc.status != IBV_WC_SUCCESS) {
			printf("%s: %s\n", spec, ibv_wc_status_str(wc.status));
			return 1;
		}
	}
	printf("%s: success", spec);
	if (kind->opcode == IBV_WR_RDMA_READ)
		printf(" fnv %08x", fnv(c->buffer, op->size));
	printf("\n");
	return 0;
}

static int run_ops(struct conn *c)
{
	for (unsigned k = 1; opt.ops[k - 1]; k++) {
		const char *spec = opt.ops[k - 1];
		struct op op = parse(spec);
		int failed = 0;

		if (!strcmp(op.name, "sleep"))
			usleep(op.size * 1000);
		else if (!strcmp(op.name, "recv") || !strcmp(op.name, "region"))
			failed = receive(c, spec, &op);
		else
			failed = transfer(c, spec, &op, k);
		if (failed)
			return 1;
	}
	return 0;
}

/* ------------------------------------------------------------------ server */

static void send_back(struct conn *c, const struct ibv_wc *got)
{
	struct ibv_wc wc;

	if (rdma_post_send(c->id, NULL, received(c, got), got->byte_len, c->receives_mr, 0) ||
	    !next_completion(c->id->send_cq, &wc))
		die("send back");
	printf("sent back: %s\n", ibv_wc_status_str(wc.status));
}

static void take_messages(struct conn *c)
{
	struct ibv_wc wc;

	while (ibv_poll_cq(c->id->recv_cq, 1, &wc) == 1) {
		if (wc.status != IBV_WC_SUCCESS) {
			if (wc.status != IBV_WC_WR_FLUSH_ERR)
				printf("receive: %s\n", ibv_wc_status_str(wc.status));
			continue;
		}
		print_receive(c, &wc);
		if (opt.echo)
			send_back(c, &wc);
		post_receive(c, wc.wr_id);
	}
}

/* The next connection event, printed; -1 if there is none within ms. */
static int next_event(struct rdma_event_channel *channel, int ms)
{
	struct pollfd pfd = { .fd = channel->fd, .events = POLLIN };
	struct rdma_cm_event *event;
	int kind;

	if (poll(&pfd, 1, ms) <= 0 || rdma_get_cm_event(channel, &event))
		return -1;
	kind = event->event;
	printf("event: %s status %d\n", rdma_event_str(kind), event->status);
	rdma_ack_cm_event(event);
	return kind;
}

static int serve_conn(struct conn *c, struct rdma_event_channel *channel)
{
	struct ibv_qp_init_attr attributes = qp_attributes();
	struct rdma_conn_param p;
	uint8_t private[256];
	int event, failed = 0;

	if (rdma_create_qp(c->id, NULL, &attributes))
		die("create queue pair");
	open_conn(c);
	p = parameters(c, private);
	if (rdma_accept(c->id, &p))
		die("accept");
	event = next_event(channel, opt.timeout_ms);
	if (event == RDMA_CM_EVENT_ESTABLISHED) {
		failed = run_ops(c);
		do {
			take_messages(c);
			event = next_event(channel, 2);
		} while (event == -1);
	}
	take_messages(c);
	drain_async_events(c->id->verbs);
	report_buffer(c);
	rdma_disconnect(c->id);
	ibv_dereg_mr(c->buffer_mr);
	ibv_dereg_mr(c->receives_mr);
	rdma_destroy_qp(c->id);
	free(c->buffer);
	free(c->receives);
	return failed || event != RDMA_CM_EVENT_DISCONNECTED;
}

static int refuse(struct rdma_cm_id *id)
{
	uint8_t private[256];

	fill(private, sizeof(private), 0xa5);
	if (rdma_reject(id, private, opt.private_size))
		die("reject");
	return 0;
}

static int serve(void)
{
	struct rdma_addrinfo *info, hints = { .ai_flags = RAI_PASSIVE, .ai_port_space = RDMA_PS_TCP };
	struct rdma_event_channel *channel = rdma_create_event_channel();
	struct rdma_cm_event *event;
	struct rdma_cm_id *listener;
	int failed = 0;

	if (!channel || rdma_create_id(channel, &listener, NULL, RDMA_PS_TCP))
		die("create id");
	if (rdma_getaddrinfo(opt.addr ? opt.addr : "0.0.0.0", opt.port, &hints, &info))
		die("address");
	if (rdma_bind_addr(listener, info->ai_src_addr) || rdma_listen(listener, 8))
		die("listen");
	printf("listening\n");
	for (int n = 0; n < opt.connections; n++) {
		struct conn c = { 0 };

		if (rdma_get_cm_event(channel, &event))
			die("event");
		printf("event: %s status %d\n", rdma_event_str(event->event), event->status);
		if (event->event != RDMA_CM_EVENT_CONNECT_REQUEST)
			die("no connection request");
		c.id = event->id;
		take_peer(&c, &event->param.conn);
		rdma_ack_cm_event(event);
		failed |= opt.reject ? refuse(c.id) : serve_conn(&c, channel);
		rdma_destroy_id(c.id);
	}
	rdma_destroy_id(listener);
	rdma_destroy_event_channel(channel);
	return failed;
}

/* ------------------------------------------------------------------ client */

static int refused(struct conn *c)
{
	struct rdma_cm_event *event = c->id->event;

	printf("connect: %s\n", strerror(errno));
	if (event) {
		printf("event: %s status %d\n", rdma_event_str(event->event), event->status);
		print_private(&event->param.conn);
	}
	return 3;
}

static int client(void)
{
	struct rdma_addrinfo *info, hints = { .ai_port_space = RDMA_PS_TCP };
	struct ibv_qp_init_attr attributes = qp_attributes();
	struct rdma_conn_param p;
	struct conn c = { 0 };
	uint8_t private[256];
	int failed;

	if (rdma_getaddrinfo(opt.addr, opt.port, &hints, &info))
		die("address");
	if (rdma_create_ep(&c.id, info, NULL, &attributes))
		die("resolve %s", opt.addr);
	open_conn(&c);
	p = parameters(&c, private);
	if (rdma_connect(c.id, &p))
		return refused(&c);
	printf("connected\n");
	take_peer(&c, &c.id->event->param.conn);
	failed = run_ops(&c);
	drain_async_events(c.id->verbs);
	report_buffer(&c);
	rdma_disconnect(c.id);
	printf("disconnected\n");
	rdma_destroy_ep(c.id);
	return failed;
}

/* --------------------------------------------------------------- arguments */

static int access_flags(const char *s)
{
	int flags = 0;

	for (; *s; s++)
		flags |= *s == 'r' ? IBV_ACCESS_REMOTE_READ : *s == 'w' ? IBV_ACCESS_REMOTE_WRITE : 0;
	return flags;
}

static int usage(void)
{
	printf("usage: kpverbs serve|client -a ADDR -p PORT [options] [OP...]\n");
	return 2;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	int o;

	setvbuf(stdout, NULL, _IOLBF, 0);
	optind = 2;
	while ((o = getopt(argc, argv, "+a:p:n:r:b:B:A:d:Reo:i:t:")) != -1) {
		switch (o) {
		case 'a': opt.addr = optarg; break;
		case 'p': opt.port = optarg; break;
		case 'n': opt.connections = atoi(optarg); break;
		case 'r': opt.receives = atoi(optarg); break;
		case 'b': opt.receive_size = strtoul(optarg, NULL, 0); break;
		case 'B': opt.buffer_size = strtoul(optarg, NULL, 0); break;
		case 'A': opt.access = access_flags(optarg); break;
		case 'd': opt.private_size = atoi(optarg); break;
		case 'R': opt.reject = 1; break;
		case 'e': opt.echo = 1; break;
		case 'o': opt.ord = atoi(optarg); break;
		case 'i': opt.ird = atoi(optarg); break;
		case 't': opt.timeout_ms = atoi(optarg); break;
		default: return usage();
		}
	}
	opt.ops = argv + optind;
	if (!opt.port || opt.private_size < 0 || opt.private_size > 255)
		return usage();
	if (!strcmp(mode, "serve"))
		return serve();
	if (!strcmp(mode, "client") && opt.addr)
		return client();
	return usage();
}
