package file

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"

	"github.com/unio-stack/unio"
)

func TestSmoke(t *testing.T) {
	ctx := context.Background()
	for _, e := range []Engine{EngineRing, EnginePosix} {
		for _, d := range []Direct{Auto, Buffered} {
			dev, err := Open(ctx, filepath.Join(t.TempDir(), "f"), Config{Create: true, Size: 1 << 20, Engine: e, Direct: d})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%+v", dev.Info())
			reg, err := dev.Attach(ctx, "", unio.ReadWrite)
			if err != nil {
				t.Fatal(err)
			}
			ch, err := dev.NewChannel(unio.ChannelConfig{})
			if err != nil {
				t.Fatal(err)
			}
			in := []byte("hello, ragged world")
			if err := ch.Do(ctx, unio.Request{Op: unio.OpWrite, Region: reg, Offset: 1000, Data: in}); err != nil {
				t.Fatal(err)
			}
			out := make([]byte, len(in))
			if err := ch.Do(ctx, unio.Request{Op: unio.OpRead, Region: reg, Offset: 1000, Data: out}); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(in, out) {
				t.Fatalf("%q", out)
			}
			if err := ch.Do(ctx, unio.Request{Op: unio.OpFetchAdd, Region: reg, Offset: 8, Swap: 3}); err != nil {
				t.Fatal(err)
			}
			if err := ch.Do(ctx, unio.Request{Op: unio.OpFlush, Region: reg}); err != nil {
				t.Fatal(err)
			}
			t.Logf("%+v", ch.Stats())
			if err := dev.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
