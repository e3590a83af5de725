// verbs-client reads and writes a region that a unio target serves, with nothing but librdmacm and libibverbs: what a
// program on verbs has to know is in main and in learn.
//
//	cc -O2 -o verbs-client verbs-client.c -lrdmacm -libverbs
//	verbs-client HOST PORT REGION write OFFSET TEXT
//	verbs-client HOST PORT REGION read OFFSET LENGTH
//
// It needs an RDMA device that speaks iWARP: an adapter, or Linux siw ("rdma link add siw0 type siw netdev eth0").
//
// A Write is at the target when a Read behind it has been answered, since a target answers Reads after the Writes before
// them; this program reads back what it wrote. That it survives a loss of power takes a flush, for which verbs have no
// operation: use the target's own clients for that, or a target whose region is in persistent memory.
#include <endian.h>
#include <netdb.h>
#include <rdma/rdma_cma.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 1 << 20 };

static struct rdma_event_channel *events;
static struct rdma_cm_id *id;
static struct ibv_cq *queue;
static struct ibv_mr *memory;
static char *buffer;

// The region, as the target has told us.
static struct {
	uint64_t base;   // where its first byte is, for the target: an opaque number
	uint32_t key;    // its STag
	uint64_t length; // in bytes
} region;

static void die(const char *what) {
	perror(what);
	exit(1);
}

// expect waits for an event of the connection and returns it, to be acknowledged.
static struct rdma_cm_event *expect(enum rdma_cm_event_type type) {
	struct rdma_cm_event *e;
	if (rdma_get_cm_event(events, &e)) die("rdma_get_cm_event");
	if (e->event == type) return e;
	fprintf(stderr, "%s, status %d", rdma_event_str(e->event), e->status);
	if (e->event == RDMA_CM_EVENT_REJECTED && e->param.conn.private_data_len)
		fprintf(stderr, ": %.*s", (int)e->param.conn.private_data_len, (const char *)e->param.conn.private_data);
	fputc('\n', stderr);
	exit(1);
}

static void until(enum rdma_cm_event_type type) { rdma_ack_cm_event(expect(type)); }

// learn takes base, STag and length from the private data of the reply, in network order: 8, 4, and 4 octets, and the whole
// of the length in 8 more.
static void learn(const struct rdma_conn_param *reply) {
	const unsigned char *b = reply->private_data;
	uint64_t base, length;
	uint32_t key;
	if (reply->private_data_len < 24) {
		fprintf(stderr, "the reply has %d octets of private data: this is no target\n", reply->private_data_len);
		exit(1);
	}
	memcpy(&base, b, 8), memcpy(&key, b + 8, 4), memcpy(&length, b + 16, 8);
	region.base = be64toh(base), region.key = be32toh(key), region.length = be64toh(length);
}

static void connect_to(const char *host, const char *port, const char *name) {
	struct addrinfo hint = {.ai_socktype = SOCK_STREAM}, *address;
	if (getaddrinfo(host, port, &hint, &address)) die("getaddrinfo");
	if (!(events = rdma_create_event_channel())) die("rdma_create_event_channel");
	if (rdma_create_id(events, &id, NULL, RDMA_PS_TCP)) die("rdma_create_id");
	if (rdma_resolve_addr(id, NULL, address->ai_addr, 2000)) die("rdma_resolve_addr");
	until(RDMA_CM_EVENT_ADDR_RESOLVED);
	if (rdma_resolve_route(id, 2000)) die("rdma_resolve_route");
	until(RDMA_CM_EVENT_ROUTE_RESOLVED);
	freeaddrinfo(address);

	struct ibv_pd *domain = ibv_alloc_pd(id->verbs);
	if (!domain) die("ibv_alloc_pd");
	if (!(queue = ibv_create_cq(id->verbs, 4, NULL, NULL, 0))) die("ibv_create_cq");
	struct ibv_qp_init_attr attributes = {
		.send_cq = queue, .recv_cq = queue, .qp_type = IBV_QPT_RC,
		.cap = {.max_send_wr = 4, .max_recv_wr = 1, .max_send_sge = 1, .max_recv_sge = 1},
	};
	if (rdma_create_qp(id, domain, &attributes)) die("rdma_create_qp");
	if (posix_memalign((void **)&buffer, 4096, LONGEST)) die("posix_memalign");
	// On iWARP the answer to a Read is written into our memory like a Write, so that has to be permitted.
	if (!(memory = ibv_reg_mr(domain, buffer, LONGEST, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE))) die("ibv_reg_mr");

	// The region's name is the private data.
	struct rdma_conn_param request = {
		.private_data = name, .private_data_len = strlen(name), .initiator_depth = 4, .responder_resources = 1,
	};
	if (rdma_connect(id, &request)) die("rdma_connect");
	struct rdma_cm_event *reply = expect(RDMA_CM_EVENT_ESTABLISHED);
	learn(&reply->param.conn);
	rdma_ack_cm_event(reply);
}

// transfer reads or writes length bytes at offset, and waits until that is done.
static void transfer(enum ibv_wr_opcode operation, uint64_t offset, uint32_t length) {
	struct ibv_sge piece = {.addr = (uintptr_t)buffer, .length = length, .lkey = memory->lkey};
	struct ibv_send_wr request = {
		.opcode = operation, .send_flags = IBV_SEND_SIGNALED, .sg_list = &piece, .num_sge = 1,
		.wr.rdma = {.remote_addr = region.base + offset, .rkey = region.key},
	}, *bad;
	struct ibv_wc done;
	int n;
	if (ibv_post_send(id->qp, &request, &bad)) die("ibv_post_send");
	while (!(n = ibv_poll_cq(queue, 1, &done))) continue;
	if (n < 0 || done.status != IBV_WC_SUCCESS) {
		fprintf(stderr, "%s\n", n < 0 ? "ibv_poll_cq" : ibv_wc_status_str(done.status));
		exit(1);
	}
}

int main(int count, char **word) {
	if (count != 7 || (strcmp(word[4], "read") && strcmp(word[4], "write"))) {
		fprintf(stderr, "usage: verbs-client HOST PORT REGION write OFFSET TEXT | read OFFSET LENGTH\n");
		return 2;
	}
	int writing = word[4][0] == 'w';
	uint64_t offset = strtoull(word[5], NULL, 0), length = writing ? strlen(word[6]) : strtoull(word[6], NULL, 0);
	connect_to(word[1], word[2], word[3]);
	fprintf(stderr, "region of %llu bytes\n", (unsigned long long)region.length);
	if (length == 0 || length > LONGEST || offset > region.length || length > region.length - offset) {
		fprintf(stderr, "1 to %d bytes, within the region\n", LONGEST);
		return 1;
	}
	if (writing) {
		memcpy(buffer, word[6], length);
		transfer(IBV_WR_RDMA_WRITE, offset, length);
		memset(buffer, 0, length);
	}
	transfer(IBV_WR_RDMA_READ, offset, length); // of what was written: then it is there
	if (writing && memcmp(buffer, word[6], length)) {
		fprintf(stderr, "what was read is not what was written\n");
		return 1;
	}
	fwrite(buffer, 1, length, stdout);
	putchar('\n');
	rdma_disconnect(id);
	return 0;
}
