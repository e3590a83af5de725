package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"syscall"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/rdma"
)

// networkHint says what to do about an error on the way to a peer. ok is false
// if err is none; then other causes are to be looked for.
func networkHint(err error) (hint string, ok bool) {
	var (
		name      *net.DNSError
		rejected  *rdma.RejectedError
		untrusted *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		plain     tls.RecordHeaderError
		call      *os.SyscallError
		dialing   *net.OpError
	)
	switch {
	case errors.As(err, &name):
		return "is the name of the host right?", true
	case errors.As(err, &rejected) && errors.Is(err, unio.ErrBusy):
		return `the target has no room for this client now: ask for less (inflight= in the URL), or try again when others have gone; "unio stat" shows what is reserved`, true
	case errors.As(err, &rejected):
		return `what the peer says is its reason, if it says anything; "unio ls" lists the regions of a target; both ends must agree about checksums (crc=on, crc=off)`, true
	case errors.As(err, &untrusted), errors.As(err, &authority):
		return "tls-ca=FILE names the authority of the peer's certificate, tls-name=NAME another name in it", true
	case errors.As(err, &dialing) && dialing.Op == "remote error": // an alert of TLS
		return "the peer does not accept this end: tls-cert=FILE and tls-key=FILE are the certificate that it may want", true
	case errors.As(err, &plain):
		return "the peer does not use TLS", true
	case errors.Is(err, syscall.ECONNREFUSED):
		return `nothing listens there: "unio peer" does, or "unio serve", and both say where`, true
	case errors.Is(err, syscall.EADDRINUSE):
		return "something else listens there: port 0 takes a free one", true
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "this machine has no such address, or no free port left", true
	case errors.As(err, &call) && call.Syscall == "setsockopt TCP_CONGESTION":
		return "", true // the error says where to look
	case errors.As(err, &dialing) && errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &dialing) && errors.Is(err, unio.ErrTimeout):
		return "the host does not answer: is it up, and does a firewall drop what is sent to the port?", true
	case errors.Is(err, unio.ErrDisconnected), errors.As(err, &dialing):
		return "", true // it is not about files
	}
	return "", false
}
