package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/bytesize"
	"github.com/unio-stack/unio/provider/rdma"
)

const peerLong = `peer is the other end of bench and ping: it offers memory that everybody who
connects may read and write, and sends back the messages that come, until it gets
SIGINT or SIGTERM. The memory is zero in the beginning, resident, and gone at the
end.

The private data of its reply is the key of the memory (base, STag, length, as
programs on verbs expect it), followed by "echo". Who sends "sink" as the
private data of the request gets no messages back.

Whoever reaches the address has the memory, so an address that is not of this
machine alone needs TLS (--tls-cert, --tls-key), and --tls-client-ca to let in
only those with a certificate of that authority; or --insecure.

At the end it prints what it did, at SIGUSR1 what it has done so far. With --json,
each line is one JSON object, whose "event" is listening, status or end. Reads,
writes and atomics of peers are not counted: they need nobody here.`

const peerExample = `  unio peer
  unio peer --listen 127.0.0.1:0 --size 64MiB --json
  unio peer --listen :7471 --tls-cert peer.pem --tls-key peer.key --tls-client-ca ca.pem`

// peerFlags are the command line of peer.
type peerFlags struct {
	listen     string
	size       int64
	message    int64
	depth      int
	crc        string
	congestion string
	spin       time.Duration
	secret     peerSecret
	insecure   bool
	json       bool
}

func newPeer(sh *shell) *cobra.Command {
	var f peerFlags
	cmd := &cobra.Command{
		Use: "peer", Short: "Offer memory and an echo to bench, ping and others",
		Long: peerLong, Example: peerExample,
		Args: exactArgs(), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error { return runPeer(cmd.Context(), sh, f) },
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&f.listen, "listen", "127.0.0.1:"+strconv.Itoa(rdma.DefaultPort), "`address` and port; port 0 takes a free one")
	sizeVar(fs, &f.size, "size", 1<<30, "how much memory to offer")
	sizeVar(fs, &f.message, "message", 64<<10, "longest message that is taken")
	fs.IntVar(&f.depth, "depth", 64, "messages of each connection that are taken before they are looked at, at most")
	fs.StringVar(&f.crc, "crc", "default", "checksums beside TCP's: default (follow the peer), on (insist) or off (refuse)")
	fs.StringVar(&f.congestion, "congestion", "", "congestion control of TCP, such as cubic")
	fs.DurationVar(&f.spin, "spin", 0, "poll so long for a message before sleeping (0 adapts, negative never polls)")
	fs.StringVar(&f.secret.cert, "tls-cert", "", "certificate `file` in PEM: use TLS")
	fs.StringVar(&f.secret.key, "tls-key", "", "its key `file`")
	fs.StringVar(&f.secret.clientCA, "tls-client-ca", "", "let in only peers with a certificate of the authorities in this `file`")
	fs.BoolVar(&f.insecure, "insecure", false, "listen without TLS where other machines may connect")
	fs.BoolVar(&f.json, "json", false, "print JSON objects, one a line")
	_ = cmd.RegisterFlagCompletionFunc("crc", completeWords([]string{"default", "on", "off"}))
	return cmd
}

// config checks the flags and returns where to listen, and how.
func (f *peerFlags) config() (addr string, cfg rdma.Config, err error) {
	policy, known := map[string]rdma.CRC{"default": rdma.CRCDefault, "on": rdma.CRCRequired, "off": rdma.CRCOff}[f.crc]
	switch {
	case !known:
		return "", cfg, usage("--crc %s: want default, on or off", f.crc)
	case f.size < 8 || f.size%8 != 0:
		return "", cfg, usage("--size %s: want a multiple of 8 bytes", bytesize.Format(f.size))
	case f.message < 1 || f.message > 1<<30:
		return "", cfg, usage("--message %s: want 1 byte to 1 GiB", bytesize.Format(f.message))
	case f.depth < 1 || f.depth > 1<<14:
		return "", cfg, usage("--depth is 1 to 16384")
	}
	where, err := net.ResolveTCPAddr("tcp", f.listen)
	if err != nil {
		return "", cfg, hinted(usage("--listen %s: %w", f.listen, err), "write it as 127.0.0.1:7471, [::1]:0 or :7471")
	}
	secure, err := f.secret.load()
	if err != nil {
		return "", cfg, err
	}
	if secure == nil && !f.insecure && !where.IP.IsLoopback() {
		return "", cfg, hinted(usage("--listen %s: other machines could read and write the memory", f.listen),
			"give --tls-cert and --tls-key, or --insecure if everybody there may")
	}
	return where.String(), rdma.Config{
		CRC: policy, Congestion: f.congestion, TLS: secure, MaxMessage: int(f.message),
		Channel: unio.ChannelConfig{Depth: f.depth, Spin: f.spin},
	}, nil
}

func runPeer(ctx context.Context, sh *shell, f peerFlags) error {
	addr, cfg, err := f.config()
	if err != nil {
		return err
	}
	memory, err := residentMemory(f.size)
	if err != nil {
		return err
	}
	defer func() { _ = memory.Free() }() // at worst it goes with the process
	cfg.Domain = rdma.NewDomain()
	exposed, err := cfg.Domain.Expose(memory, unio.ReadWrite)
	if err != nil {
		return err
	}
	reply, err := exposed.Key().AppendBinary(nil)
	if err != nil {
		return err
	}
	reply = append(reply, echoPromise...)
	cfg.Decide = func(*rdma.Incoming) ([]byte, error) { return reply, nil }
	l, err := rdma.Listen(ctx, addr, cfg)
	if err != nil {
		return err
	}
	p := &peer{sh: sh, flags: f, listener: l, began: time.Now()}
	p.batches.New = func() any { return new(peerBatch) }
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	defer signal.Stop(asked)
	p.announce(exposed.Key(), cfg.TLS)
	p.serve(ctx, asked)
	p.report("end")
	return nil
}

// residentMemory returns zeroed memory that has its pages already.
func residentMemory(size int64) (*unio.Buffer, error) {
	buf, err := unio.NewBuffer(int(size))
	if err != nil {
		return nil, err
	}
	b := buf.Bytes()
	for i := 0; i < len(b); i += pageSize {
		b[i] = 0
	}
	return buf, nil
}

// A peer is a running unio peer.
type peer struct {
	sh       *shell
	flags    peerFlags
	listener *rdma.Listener
	began    time.Time
	tally    peerTally
	batches  sync.Pool // of *peerBatch
}

// serve lets peers in until ctx ends, and returns when all of them are gone.
// What is asked for meanwhile is a report.
func (p *peer) serve(ctx context.Context, asked <-chan os.Signal) {
	var all sync.WaitGroup
	all.Go(func() {
		for {
			select {
			case <-asked:
				p.report("status")
			case <-ctx.Done():
				return
			}
		}
	})
	for {
		conn, err := p.listener.Accept(ctx)
		if err != nil {
			break // ctx has ended
		}
		all.Go(func() { p.attend(ctx, conn) })
	}
	_ = p.listener.Close() // nobody is waiting any more
	all.Wait()
}

// announce says where it listens.
func (p *peer) announce(k rdma.Key, secure *tls.Config) {
	at := p.listener.Addr()
	port := 0
	if tcp, ok := at.(*net.TCPAddr); ok {
		port = tcp.Port
	}
	if p.flags.json {
		printLine(p.sh.out, peerListening{"listening", at.String(), port, k.Size, k.String(), secure != nil})
		return
	}
	how := "without TLS"
	if secure != nil {
		how = "with TLS"
	}
	fmt.Fprintf(p.sh.out, "listening at %s, %s: %s to read and write; messages come back\n", at, how, bytesize.Format(k.Size))
	if secure != nil && secure.ClientCAs == nil {
		fmt.Fprintln(p.sh.err, "unio: note: whoever can connect has the memory: --tls-client-ca lets in only some")
	}
}
