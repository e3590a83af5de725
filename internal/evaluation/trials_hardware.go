package evaluation

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/unio-stack/unio"
)

// hardwareTrials are what software alone cannot show.
func hardwareTrials() []trial {
	return []trial{
		{
			claim: "the disk is polled, without interrupts",
			tried: "the file is opened with iopoll=on and read",
			run: func(ctx context.Context, l *lab) (string, error) {
				return withSubject(ctx, "file:"+l.disk+"?direct=on&iopoll=on", unio.ChannelConfig{}, func(s *subject) (string, error) {
					return s.dev.Info().Engine, s.read(ctx, 0, s.piece(0))
				})
			},
		},
		{
			claim: "mapped storage is durable by writing back cache lines, without a system call",
			tried: "the file is mapped with dax:, and what it says of MAP_SYNC",
			run: func(ctx context.Context, l *lab) (string, error) {
				return withSubject(ctx, "dax:"+l.disk, unio.ChannelConfig{}, func(s *subject) (string, error) {
					info := s.dev.Info()
					if len(info.Notes) > 0 {
						return "", fmt.Errorf("%w: %s", errCannotTry, strings.Join(info.Notes, "; "))
					}
					return info.Reason, s.write(ctx, aside(12), []byte("durable!"), unio.Durable)
				})
			},
		},
		{
			claim: "an RDMA adapter checks keys and moves bytes by itself",
			tried: "adapters in /sys/class/infiniband are looked for",
			run: func(context.Context, *lab) (string, error) {
				adapters, err := os.ReadDir("/sys/class/infiniband")
				if err != nil {
					return "", fmt.Errorf("%w: %w", errCannotTry, err)
				}
				return "", fmt.Errorf("%w: there are %d, and unio speaks to them over TCP only", errCannotTry, len(adapters))
			},
		},
	}
}
