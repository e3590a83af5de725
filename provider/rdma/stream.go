package rdma

import "github.com/unio-stack/unio"

// Stream returns the connection as a net.Conn over Send and Recv; both ends must do so. The channel then belongs to the stream,
// whose Close closes the Conn.
func (c *Conn) Stream() (*unio.Stream, error) {
	return unio.NewStream(c.channel, unio.StreamConfig{LocalAddr: c.LocalAddr(), RemoteAddr: c.RemoteAddr(), OnClose: c.Close})
}
