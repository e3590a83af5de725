package main

import (
	"fmt"
	"net"
	"strings"
)

// A notifier tells the service manager how the server is doing (sd_notify(3)). nil tells nobody.
type notifier struct{ conn *net.UnixConn }

// newNotifier returns a notifier for the socket in $NOTIFY_SOCKET, or nil if that is empty.
func newNotifier(socket string) (*notifier, error) {
	if socket == "" {
		return nil, nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"}) // @ is an abstract one
	if err != nil {
		return nil, fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	return &notifier{conn}, nil
}

// say sends some variables. If nobody listens any more, there is nobody to tell.
func (n *notifier) say(variables ...string) {
	if n != nil {
		_, _ = n.conn.Write([]byte(strings.Join(variables, "\n")))
	}
}
