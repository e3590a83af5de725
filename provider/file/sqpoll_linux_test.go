package file

import (
	"testing"
	"time"

	"github.com/unio-stack/unio"
)

// TestSQPoll: while the kernel's thread is awake, requests cost no system call;
// when it has gone to sleep, the next one wakes it.
func TestSQPoll(t *testing.T) {
	const batch, batches = 32, 200
	r := newRig(t, newFile(t, batch*4096), Config{SQPoll: true, Direct: Required})
	if e := r.dev.Info().Engine; e != "io_uring+sqpoll" {
		t.Errorf("engine %s", e)
	}
	ch := r.channel(unio.ChannelConfig{Depth: batch, Spin: patience})
	mem := r.buffer(batch * 4096)
	var reqs []unio.Request
	for i := range batch {
		reqs = append(reqs, r.read(int64(i)*4096, mem[i*4096:][:4096]))
	}
	r.all(ch, reqs)
	before := ch.Stats().Syscalls
	for range batches {
		r.all(ch, reqs)
	}
	if n := ch.Stats().Syscalls - before; n > batches*batch/8 {
		t.Errorf("%d system calls for %d requests", n, batches*batch)
	} else {
		t.Logf("%d system calls for %d requests", n, batches*batch)
	}
	sleepy := r.channel(unio.ChannelConfig{Spin: -1})
	for range 5 {
		time.Sleep(5 * sqIdle) // the thread sleeps by now
		r.echo(sleepy, 333, 5000)
	}
	if s := sleepy.Stats(); s.Sleeps == 0 || s.Syscalls == 0 {
		t.Errorf("%+v; want sleeps, and wake-ups of the thread", s)
	}
}

// TestSQPollFlood: more cancellations than the queue has room for.
func TestSQPollFlood(t *testing.T) {
	r := newRig(t, newFile(t, 1<<20), Config{SQPoll: true, Direct: Required})
	ch := r.channel(unio.ChannelConfig{Depth: 4})
	buf := r.buffer(4 * 4096)
	posted, got := 0, 0
	var done [4]unio.Completion
	for range 2000 {
		n, _ := ch.Post(r.read(0, buf[:4096]), r.read(4096, buf[4096:8192]))
		posted += n
		for range 8 {
			ch.CancelAll()
			got += r.poll(ch, done[:])
		}
	}
	for got < posted {
		n, err := ch.Wait(r.ctx, done[:])
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
}
