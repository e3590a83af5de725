package rdma

import (
	"errors"
	"strings"
	"testing"

	"github.com/unio-stack/unio"
)

func TestParsePlace(t *testing.T) {
	for text, want := range map[string]Place{
		"rdma://host":                     {Addr: "host:7471"},
		"rdma://host/":                    {Addr: "host:7471"},
		"rdma://host/disk":                {Addr: "host:7471", Region: "disk"},
		"rdma://host:1/a/b%20c":           {Addr: "host:1", Region: "a/b c"},
		"rdma://host/unio:catalogue":      {Addr: "host:7471", Region: "unio:catalogue"},
		"rdma://[::1]/disk?readonly=1":    {Addr: "[::1]:7471", Region: "disk", ReadOnly: true},
		"rdma://host/disk?crc=off&verbs":  {Addr: "host:7471", Region: "disk", Config: Config{CRC: CRCOff, Verbs: true}},
		"rdma://host/%C3%BCber?readonly=": {Addr: "host:7471", Region: "über", ReadOnly: true},
	} {
		got, err := ParsePlace(parse(t, text))
		if err != nil || got.Addr != want.Addr || got.Region != want.Region || got.ReadOnly != want.ReadOnly ||
			got.Config.CRC != want.Config.CRC || got.Config.Verbs != want.Config.Verbs {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func TestParsePlaceRefuses(t *testing.T) {
	for text, words := range map[string]string{
		"rdma://host?readonly=1":                       "write rdma://host:7471/REGION?readonly=1",
		"rdma://host/disk?readonly=maybe":              "want 1 or 0",
		"rdma://host/disk?readonly=1&verbs=1":          "plain verbs cannot",
		"rdma://host/a%00b":                            "NUL",
		"rdma://host/" + strings.Repeat("x", 300):      "300 bytes",
		"rdma://host/disk?size=1G":                     `unknown option "size"`,
		"rdma:///disk":                                 "no host",
		"rdma://host/disk?tls=0&tls-name=somebody":     "contradicts",
		"rdma://host/" + strings.Repeat("%C3%BC", 120): "240 bytes",
	} {
		_, err := ParsePlace(parse(t, text))
		if !errors.Is(err, unio.ErrInvalid) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want ErrInvalid with %q", text, err, words)
		}
	}
}
