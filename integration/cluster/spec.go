package cluster

import (
	"fmt"
	"path/filepath"
	"time"
)

// controlSocket is the UNIX socket, in a member's working directory, on which
// it serves the cluster's own health checks: past TLS, client certificates and
// the faults on its links.
const controlSocket = "control"

// socket is the absolute path of a socket in the member's working directory.
func (m *Member) socket(name string) string { return filepath.Join(m.dir, name) }

func (m *Member) clientScheme() string {
	if m.c.cfg.ClientTLS != nil {
		return "https"
	}
	return "http"
}

// peerURL is the URL that the other members use. It never changes.
func (m *Member) peerURL() string { return "http://" + m.peer.Address() }

// spec describes the member's next life.
func (m *Member) spec() *memberSpec {
	cfg := m.c.cfg
	clientURL := m.ClientURL()
	return &memberSpec{
		Name:             m.name,
		DataDir:          m.data,
		ListenClient:     []string{clientURL, "unix://" + controlSocket},
		AdvertiseClient:  clientURL,
		Peer:             m.peerURL(),
		ListenPeer:       m.peerURL(),
		InitialCluster:   m.c.initialCluster(),
		Token:            m.c.token,
		ElectionMillis:   uint(cfg.ElectionTimeout / time.Millisecond),
		HeartbeatMillis:  uint(cfg.HeartbeatInterval / time.Millisecond),
		QuotaBytes:       cfg.QuotaBytes,
		Fsync:            cfg.Fsync,
		TLS:              cfg.ClientTLS,
		ClientCertAuth:   cfg.ClientCertAuth,
		AuthToken:        cfg.AuthToken,
		AuthTokenSeconds: uint(cfg.AuthTokenTTL / time.Second),
		LogLevel:         cfg.LogLevel,
		Flags:            cfg.Flags,
	}
}

// Log returns the end of what the member's processes wrote, 16 KiB at most,
// over all its lives. It is empty when it cannot be read, as after
// Cluster.Stop.
func (m *Member) Log() string { return tail(m.log, 16<<10) }

// logSuffix is the end of the log as it goes behind an error.
func (m *Member) logSuffix() string {
	if log := tail(m.log, 2<<10); log != "" {
		return fmt.Sprintf("; its log ends with:\n%s", log)
	}
	return ""
}
