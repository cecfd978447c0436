package client

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
)

// TLSFiles names files in PEM form. They are read for every new connection, so that
// certificates that are renewed on disk are taken without a new client; connections
// that are open stay. A file that can't be used, because it is half-written, say, or
// does not belong to its key, is logged, and the last good one stays in use. The zero
// value names none.
type TLSFiles struct {
	// Cert and Key are what the client shows to the members; both, or none.
	Cert, Key string
	// CA has the authorities that the members' certificates may be of. Empty means
	// those of Config.TLS, or the system's.
	CA string
}

// pair reads the client's certificate; nil if there is none.
func (f TLSFiles) pair() (*tls.Certificate, error) {
	if f.Cert == "" {
		return nil, nil //nolint:nilnil // none is an answer
	}
	cert, err := readPEM(f.Cert)
	if err != nil {
		return nil, fmt.Errorf("the client's certificate: %w", err)
	}
	key, err := readPEM(f.Key)
	if err != nil {
		return nil, fmt.Errorf("the client's key: %w", err)
	}
	c, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("the client's certificate %s and its key %s: %w", f.Cert, f.Key, err)
	}
	return &c, nil
}

// authorities reads the authorities; nil if there are none.
func (f TLSFiles) authorities() (*x509.CertPool, error) {
	if f.CA == "" {
		return nil, nil //nolint:nilnil // none is an answer
	}
	text, err := readPEM(f.CA)
	if err != nil {
		return nil, fmt.Errorf("the certificate authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("the certificate authorities: %s has no certificate in PEM form", f.CA)
	}
	return pool, nil
}

// readPEM reads a file whose last block is whole: who writes one in place leaves a part
// of it to be read for a moment, of which parsers take what is there.
func readPEM(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rest := text
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
	}
	if bytes.Contains(rest, []byte("-----BEGIN")) {
		return nil, fmt.Errorf("%s ends within a block of PEM", path)
	}
	return text, nil
}

// certificates are what TLSFiles have had last that could be used. Nil has none.
type certificates struct {
	files  TLSFiles
	logger *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate // guarded by mu
	roots   *x509.CertPool   // guarded by mu
	changes int              // guarded by mu: how often the two have changed
	failed  string           // guarded by mu: what was logged last
}

// newCertificates returns nil for no files.
func newCertificates(files TLSFiles, logger *slog.Logger) (*certificates, error) {
	if files == (TLSFiles{}) {
		return nil, nil //nolint:nilnil // none is an answer
	}
	c := &certificates{files: files, logger: logger}
	if err := c.readLocked(); err != nil {
		return nil, fmt.Errorf("client: Config.TLSFiles: %w", err)
	}
	return c, nil
}

// readLocked takes what can be used.
func (c *certificates) readLocked() error {
	pair, badPair := c.files.pair()
	if badPair == nil && !samePair(pair, c.pair) {
		c.pair = pair
		c.changes++
	}
	roots, badRoots := c.files.authorities()
	if badRoots == nil && !roots.Equal(c.roots) {
		c.roots = roots
		c.changes++
	}
	return errors.Join(badPair, badRoots)
}

// samePair compares what the files have. A key has one certificate at a time.
func samePair(a, b *tls.Certificate) bool {
	if a == nil || b == nil {
		return a == b
	}
	return slices.EqualFunc(a.Certificate, b.Certificate, bytes.Equal)
}

// config returns base with what the files have now, and the number of changes until now.
func (c *certificates) config(base *tls.Config) (*tls.Config, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.readLocked()
	switch {
	case err == nil:
		c.failed = ""
	case err.Error() != c.failed:
		c.failed = err.Error()
		c.logger.Warn("etcd: a file for TLS can't be used; what it had before is", "cause", err)
	}
	cfg := base.Clone()
	if c.pair != nil {
		cfg.Certificates = []tls.Certificate{*c.pair}
	}
	if c.roots != nil {
		cfg.RootCAs = c.roots
	}
	return cfg, c.changes
}

// renewer returns a function that returns the configuration that it gets, if it has what the
// files have now, and otherwise base with that. have is the first one.
func (c *certificates) renewer(base *tls.Config) (have *tls.Config, renew func(have *tls.Config) *tls.Config) {
	have, changes := c.config(base)
	return have, func(have *tls.Config) *tls.Config {
		now, n := c.config(base)
		if n == changes {
			return have
		}
		changes = n
		return now
	}
}
