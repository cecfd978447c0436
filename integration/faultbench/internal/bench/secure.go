package bench

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"

	"github.com/getcd/getcd/integration/certs"
	"github.com/getcd/getcd/integration/cluster"
)

// security has what members and clients need for TLS.
type security struct {
	dir     string
	members *cluster.TLSFiles
	clients *tls.Config
}

// newSecurity makes an authority and a certificate for all members. The
// certificate covers the addresses of their endpoints and the domain of the
// service. close removes the files.
func newSecurity() (_ *security, err error) {
	s := new(security)
	if s.dir, err = os.MkdirTemp("", "faultbench-"); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	ca, err := certs.New(s.dir)
	if err != nil {
		return nil, err
	}
	server, err := ca.Server("127.0.0.1", domain)
	if err != nil {
		return nil, err
	}
	s.members = &cluster.TLSFiles{Cert: server.CertFile, Key: server.KeyFile}
	s.clients, err = ca.ClientConfig()
	return s, err
}

func (s *security) close() error { return os.RemoveAll(s.dir) }
