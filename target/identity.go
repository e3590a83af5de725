package target

import "crypto/tls"

// namesOf returns the names in the certificate by which a client has proved who it is; none without one.
func namesOf(s *tls.ConnectionState) (names []string) {
	if s == nil || len(s.VerifiedChains) == 0 {
		return nil // whatever certificate it may have shown
	}
	c := s.PeerCertificates[0]
	names = append(names, c.DNSNames...)
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	names = append(names, c.EmailAddresses...)
	if len(names) == 0 && c.Subject.CommonName != "" {
		names = append(names, c.Subject.CommonName)
	}
	return names
}
