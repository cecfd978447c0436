package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// validity is the default validity of certificates.
const validity = 24 * time.Hour

// CA is a certificate authority. All of its files are in one directory. It is
// safe for concurrent use.
type CA struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey

	mu     sync.Mutex
	serial int64
}

// Pair is a certificate and its key, as PEM files.
type Pair struct {
	CertFile, KeyFile string
}

// Request describes a certificate.
type Request struct {
	// CommonName is the subject's common name. etcd uses a client's as the user
	// name.
	CommonName string
	// Hosts are the DNS names and IP addresses of a server.
	Hosts []string
	// NotBefore and NotAfter limit the validity. Zero means an hour ago and a day
	// from now.
	NotBefore, NotAfter time.Time
	// ClientOnly makes a certificate that cannot be used by a server.
	// Certificates for servers can always be used by a client, too, which etcd's
	// JSON gateway needs.
	ClientOnly bool
}

// New makes an authority and writes its certificate to dir, which must exist.
func New(dir string) (*CA, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	// Each authority has a different name: a test may have several, and
	// verification finds them by name.
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "test authority " + rand.Text()},
		NotBefore:             time.Now().Add(-2 * validity),
		NotAfter:              time.Now().Add(2 * validity),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	ca := &CA{dir: dir, cert: cert, key: key, serial: 1}
	return ca, writePEM(ca.File(), "CERTIFICATE", der)
}

// File returns the path of the authority's certificate, in PEM.
func (ca *CA) File() string { return filepath.Join(ca.dir, "ca.pem") }

// Pool returns a pool with the authority's certificate.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// Server makes a certificate for a server with the given DNS names and IP
// addresses.
func (ca *CA) Server(hosts ...string) (Pair, error) {
	if len(hosts) == 0 {
		return Pair{}, errors.New("certs: a server's certificate needs a host")
	}
	return ca.Issue(Request{CommonName: hosts[0], Hosts: hosts})
}

// Client makes a certificate for a client.
func (ca *CA) Client(commonName string) (Pair, error) {
	return ca.Issue(Request{CommonName: commonName, ClientOnly: true})
}

// Issue makes a certificate and writes it and its key to the authority's
// directory.
func (ca *CA) Issue(r Request) (Pair, error) {
	ca.mu.Lock()
	ca.serial++
	serial := ca.serial
	ca.mu.Unlock()

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("certs: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: r.CommonName},
		NotBefore:    r.NotBefore,
		NotAfter:     r.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if !r.ClientOnly {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if template.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(validity)
	}
	for _, host := range r.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		return Pair{}, fmt.Errorf("certs: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("certs: %w", err)
	}
	pair := Pair{
		CertFile: filepath.Join(ca.dir, fmt.Sprintf("%d.pem", serial)),
		KeyFile:  filepath.Join(ca.dir, fmt.Sprintf("%d.key", serial)),
	}
	return pair, errors.Join(
		writePEM(pair.CertFile, "CERTIFICATE", cert),
		writePEM(pair.KeyFile, "PRIVATE KEY", private),
	)
}

// ClientConfig returns the configuration of a client that trusts only this
// authority and presents the given certificates, which any authority may have
// signed.
func (ca *CA) ClientConfig(present ...Pair) (*tls.Config, error) {
	cfg := &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS12}
	for _, pair := range present {
		cert, err := tls.LoadX509KeyPair(pair.CertFile, pair.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("certs: %w", err)
		}
		cfg.Certificates = append(cfg.Certificates, cert)
	}
	return cfg, nil
}

func writePEM(path, kind string, der []byte) error {
	err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
	if err != nil {
		return fmt.Errorf("certs: %w", err)
	}
	return nil
}
